//! The inner loop: each image of a morsel is decoded once for all the models that need it at the same scale.
//!
//! ```text
//!  encoded bytes ── decode, no larger than a model needs ──►  RGB ─┬─► Batcher (resize, normalise, tensor, run)
//!   (row by row)                                                    └─► Batcher of another model
//! ```
//!
//! Decoded pixels are dropped before the next row and never leave this function.

mod batcher;
mod context;
mod decode_row;
mod filled;
#[cfg_attr(
    not(feature = "cluster"),
    expect(dead_code, reason = "only processes of a cluster are started again after they died")
)]
mod guard;
mod inference_plan;
mod side_by_side;
mod worker_memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use itertools::Itertools;
use seequel_udfs::ImageArray;

pub(crate) use self::batcher::BatchBuffers;
pub(crate) use self::context::Context;
pub(crate) use self::guard::{Guard, Guarded, InHand};
#[cfg(feature = "cluster")]
pub(crate) use self::guard::{GuardedRow, Lane, Verdict};
pub(crate) use self::inference_plan::InferencePlan;
pub(crate) use self::side_by_side::Decoders;
pub(crate) use self::worker_memory::{Reservation, WorkerMemory};

use self::batcher::Batcher;
use self::decode_row::decode_row;
use self::inference_plan::ModelPlan;
use self::side_by_side::decode_side_by_side;
use self::worker_memory::Held;
use crate::clock::Clock;
use crate::exec::adapt::Ran;
use crate::exec::failures::{ImageFailures, Predictions};
use crate::failures::{Failure, Stage};
use crate::model::input::NumbersSpec;
use crate::model::onnx::Port;
use crate::model::tensor::{RowNumbers, Tensor};

/// The input columns of the models, all of the same length.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) rows: usize,
    /// `Some` if the models take an image.
    pub(crate) images: Option<ImageArray<'a>>,
    /// Numbers and lists of numbers.
    pub(crate) numbers: &'a [ArrayRef],
    /// Rows whose image was decoded before, or could not be, with the reason. Only where no model takes the image.
    pub(crate) decoded: BTreeMap<usize, Option<String>>,
}

/// What came of a morsel.
#[derive(Debug)]
pub(crate) struct Inferred {
    /// Those of each of the plan's calls.
    pub(crate) predictions: Vec<Predictions>,
    /// The runs of each of the plan's models.
    pub(crate) runs: Vec<Ran>,
}

/// Runs the models of `plan` on the rows of `inputs`; returns the predictions of its calls. `key` distinguishes plans
/// that share the context's memory; `clock` is that of the thread.
///
/// Blocks until it is done: call it only from threads that may block.
///
/// # Errors
/// A model that can't be loaded, a refused memory reservation, or cancellation. A bad image gives a prediction with an
/// error.
pub(crate) fn decode_infer(
    inputs: &Inputs<'_>,
    plan: &InferencePlan,
    key: usize,
    context: &Context<'_>,
    clock: &Clock,
) -> Result<Inferred> {
    let rows = inputs.rows;
    plan.check_outputs(context.bounds.max_output_elements)?;
    let plans = plan.models();
    let waiting = clock.during(&context.metrics.memory_wait_time);
    let (held, kept) = context.memory.hold(
        (key, context.batches.clone()),
        context.reservation.new_empty(),
        rows.max(1),
        |most| tensor_bytes(plans, rows, most, context),
        || context.cancellation.check(),
    )?;
    drop(waiting);
    context.metrics.shrunk_morsels.add(usize::from(held.most < rows));
    let mut buffers = match kept {
        Some(kept) => kept,
        None => (0..plans.len())
            .map(|position| {
                let Sizes { slots, batch, in_use } = Sizes::of(plans, position, rows, held.most, context)?;
                Ok(BatchBuffers::new(&plans[position].model, slots, batch, in_use))
            })
            .collect::<Result<_>>()?,
    };
    let batchers = plans.iter().zip(&mut buffers).map(|(plan, buffers)| {
        Ok(Batcher::new(plan, rows, inputs.numbers_of(plan)?, buffers, context, clock))
    });
    let mut batchers = batchers.collect::<Result<Vec<_>>>()?;
    let image_failures = match (&inputs.images, context.decoders) {
        (None, _) => {
            (0..rows).try_for_each(|row| {
                context.cancellation.check()?;
                batchers.iter_mut().try_for_each(|batcher| batcher.push(row, None))
            })?;
            ImageFailures::default()
        }
        (Some(images), Some(decoders)) if inputs.decoded.is_empty() => {
            decode_side_by_side(images, rows, plans, &mut batchers, &held, context, (clock, decoders))?
        }
        (Some(images), _) => {
            decode_one_by_one(images, &inputs.decoded, plans, (&mut batchers, &held), context, (rows, clock))?
        }
    };
    let finished = batchers.into_iter().map(Batcher::finish);
    let (predictions, runs): (Vec<_>, Vec<_>) = finished.process_results(|all| all.unzip())?;
    held.keep(buffers);
    let _postprocessing = clock.during(&context.metrics.postprocess_time);
    Ok(Inferred { predictions: plan.predictions(&predictions, rows, &image_failures)?, runs })
}

/// Decodes row by row on this thread, so that an image's tensor is still in the core's cache when its model runs. Those of
/// `decoded` are done.
fn decode_one_by_one(
    images: &ImageArray<'_>,
    decoded: &BTreeMap<usize, Option<String>>,
    plans: &[ModelPlan],
    (batchers, held): (&mut [Batcher<'_>], &Held<'_, Vec<BatchBuffers>>),
    context: &Context<'_>,
    (rows, clock): (usize, &Clock),
) -> Result<ImageFailures> {
    let (pixels, mut failures) = (held.pixels(), ImageFailures::new());
    for row in 0..rows {
        context.cancellation.check()?;
        if let Some(failure) = context.untouched(row) {
            batchers.iter_mut().for_each(|batcher| batcher.fail(row, &failure));
            failures.insert(row, failure);
            continue;
        }
        if let Some(failure) = decoded.get(&row) {
            context.metrics.decodes.add(1);
            context.metrics.decoded_bytes.add(images.get(row).map_or(0, <[u8]>::len));
            context.metrics.decoded_images.add(usize::from(failure.is_none()));
            failures.extend(failure.as_ref().map(|reason| (row, Failure::new(Stage::Decode, reason))));
            continue;
        }
        let Some(bytes) = images.get(row) else {
            if let Some(reason) = images.reason(row) {
                let failure = Failure::new(Stage::Read, reason);
                batchers.iter_mut().for_each(|batcher| batcher.fail(row, &failure));
                failures.insert(row, failure);
            }
            continue;
        };
        context.take(row)?;
        let failure = decode_row(row, bytes, plans, &pixels, context, clock, |model, image| match image {
            Ok(image) => batchers[model].push(row, Some(image)),
            Err(reason) => {
                batchers[model].fail(row, &Failure::new(Stage::Decode, reason.to_string()));
                Ok(())
            }
        })?;
        context.put_down(batchers);
        failures.extend(failure.map(|failure| (row, failure)));
    }
    Ok(failures)
}

impl Inputs<'_> {
    /// The rows' numbers, for each of a model's inputs that take numbers.
    fn numbers_of<'a>(&self, plan: &'a ModelPlan) -> Result<Vec<RowNumbers<'a>>> {
        let inputs = plan.model.spec().numbers().zip(&plan.numbers);
        let numbers = inputs.map(|(input, positions)| {
            let columns: Vec<_> =
                positions.iter().map(|position| Arc::clone(&self.numbers[*position])).collect();
            RowNumbers::try_new(input, &columns, self.rows)
        });
        numbers.collect()
    }
}

/// Number of rows that a model's tensors hold, and number of rows it runs on at once.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    slots: usize,
    batch: usize,
    /// As in [`BatchSize`](crate::exec::adapt::BatchSize).
    in_use: Option<usize>,
}

impl Sizes {
    /// The sizes for the model at `position` of `plans`, if a morsel has `rows` rows and memory suffices for `most` images.
    ///
    /// A single model runs as soon as a batch is full, while the tensor is still in the CPU cache. Several models take
    /// turns after a whole morsel, so that a model's weights are in the cache for all its runs but the first.
    fn of(
        plans: &[ModelPlan],
        position: usize,
        rows: usize,
        most: usize,
        context: &Context<'_>,
    ) -> Result<Self> {
        let model = &plans[position].model;
        if let Some(batch) = model.fixed_batch()? {
            return Ok(Self { slots: batch, batch, in_use: None });
        }
        let size = context.batch(position);
        let batch = size.map_or(model.sizing()?.batch_rows, |size| size.rows).min(most);
        // Without memory for both there is nothing to compare.
        let in_use = size.and_then(|size| size.in_use).filter(|in_use| batch.max(*in_use) <= most);
        let least = batch.max(in_use.unwrap_or_default());
        let slots = if plans.len() == 1 { least } else { rows.clamp(least, most.max(least)) };
        Ok(Self { slots, batch, in_use })
    }
}

/// Bytes of all models' tensors, inputs and outputs, if a morsel has `rows` rows and memory suffices for `most` images.
fn tensor_bytes(plans: &[ModelPlan], rows: usize, most: usize, context: &Context<'_>) -> Result<usize> {
    let bytes = plans.iter().enumerate().map(|(position, plan)| {
        let Sizes { slots, batch, in_use } = Sizes::of(plans, position, rows, most, context)?;
        let spec = plan.model.spec();
        let image = spec.image().map_or(0, |image| Tensor::image_bytes(&image.input));
        let inputs = image + spec.numbers().map(NumbersSpec::row_bytes).sum::<usize>();
        let outputs = spec.outputs.iter().filter(|port| plan.outputs.contains(&port.name));
        let outputs = outputs.map(Port::row_bytes).fold(0, usize::saturating_add);
        // Outputs of both sizes are compared.
        let out = in_use.map_or(batch, |in_use| 2 * batch.max(in_use));
        Ok(slots.saturating_mul(inputs).saturating_add(out.saturating_mul(outputs)))
    });
    bytes.sum()
}
