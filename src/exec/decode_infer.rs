//! The inner loop: each image of a morsel is decoded once for all the models that need it at the same scale.
//!
//! ```text
//!  encoded bytes ── decode, no larger than a model needs ──►  RGB ─┬─► Batcher (resize, normalise, tensor, run)
//!   (row by row)                                                    └─► Batcher of another model
//! ```
//!
//! Decoded pixels are dropped before the next row and never leave this function.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use seequel_udfs::ImageArray;

use super::batcher::{BatchBuffers, Batcher};
use super::context::Context;
use super::decode_row::decode_row;
use super::failures::Predictions;
use super::inference_plan::{InferencePlan, ModelPlan};
use super::side_by_side::decode_side_by_side;
use super::worker_memory::Held;
use crate::model::input::NumbersSpec;
use crate::model::onnx::Port;
use crate::model::runtime::Model;
use crate::model::tensor::{RowNumbers, Tensor};

/// The input columns of the models, all of the same length.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) rows: usize,
    /// `Some` if the models take an image.
    pub(crate) images: Option<ImageArray<'a>>,
    /// Numbers and lists of numbers.
    pub(crate) numbers: &'a [ArrayRef],
}

/// Runs the models of `plan` on the rows of `inputs`; returns the predictions of its calls. `key` distinguishes plans
/// that share the context's memory.
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
) -> Result<Vec<Predictions>> {
    let rows = inputs.rows;
    let plans = plan.models();
    let timer = context.metrics.memory_wait_time.timer();
    let (held, kept) = context.memory.hold(
        (key, context.batch),
        context.reservation.new_empty(),
        rows.max(1),
        |most| tensor_bytes(plans, rows, most, context.batch),
        || context.cancellation.check(),
    )?;
    timer.done();
    context.metrics.shrunk_morsels.add(usize::from(held.most < rows));
    let mut buffers = match kept {
        Some(kept) => kept,
        None => plans
            .iter()
            .map(|plan| buffers(plan, plans.len(), rows, held.most, context.batch))
            .collect::<Result<_>>()?,
    };
    let batchers = plans
        .iter()
        .zip(&mut buffers)
        .map(|(plan, buffers)| Ok(Batcher::new(plan, rows, inputs.numbers_of(plan)?, buffers, context)));
    let mut batchers = batchers.collect::<Result<Vec<_>>>()?;
    match (&inputs.images, context.decoders) {
        (None, _) => (0..rows).try_for_each(|row| {
            context.cancellation.check()?;
            batchers.iter_mut().try_for_each(|batcher| batcher.push(row, None))
        })?,
        (Some(images), None) => decode_one_by_one(images, rows, plans, &mut batchers, &held, context)?,
        (Some(images), Some(decoders)) => {
            decode_side_by_side(images, rows, plans, &mut batchers, &held, context, decoders)?;
        }
    }
    let predictions = batchers.into_iter().map(Batcher::finish).collect::<Result<_>>()?;
    held.keep(buffers);
    let _timer = context.metrics.postprocess_time.timer();
    plan.predictions(&predictions)
}

/// Decodes row by row on this thread, so that an image's tensor is still in the core's cache when its model runs.
fn decode_one_by_one(
    images: &ImageArray<'_>,
    rows: usize,
    plans: &[ModelPlan],
    batchers: &mut [Batcher<'_>],
    held: &Held<'_, Vec<BatchBuffers>>,
    context: &Context<'_>,
) -> Result<()> {
    let pixels = held.pixels();
    for row in 0..rows {
        context.cancellation.check()?;
        let Some(bytes) = images.get(row) else {
            if let Some(reason) = images.reason(row) {
                batchers.iter_mut().for_each(|batcher| batcher.fail(row, reason));
            }
            continue;
        };
        decode_row(row, bytes, plans, &pixels, context, |model, image| match image {
            Ok(image) => batchers[model].push(row, Some(image)),
            Err(reason) => {
                batchers[model].fail(row, &reason.to_string());
                Ok(())
            }
        })?;
    }
    Ok(())
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

fn buffers(
    plan: &ModelPlan,
    models: usize,
    rows: usize,
    most: usize,
    batch: Option<usize>,
) -> Result<BatchBuffers> {
    let Sizes { slots, batch } = Sizes::of(&plan.model, models, rows, most, batch)?;
    Ok(BatchBuffers::new(&plan.model, slots, batch))
}

/// Number of rows that a model's tensors hold, and number of rows it runs on at once.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    slots: usize,
    batch: usize,
}

impl Sizes {
    /// The sizes for `model`, one of `models`, if a morsel has `rows` rows and memory suffices for `most` images.
    ///
    /// A single model runs as soon as a batch is full, while the tensor is still in the CPU cache. Several models take
    /// turns after a whole morsel, so that a model's weights are in the cache for all its runs but the first.
    fn of(model: &Model, models: usize, rows: usize, most: usize, batch: Option<usize>) -> Result<Self> {
        if let Some(batch) = model.fixed_batch()? {
            return Ok(Self { slots: batch, batch });
        }
        let batch = batch.unwrap_or(model.sizing()?.batch_rows).min(most);
        let slots = if models == 1 { batch } else { rows.clamp(batch, most.max(batch)) };
        Ok(Self { slots, batch })
    }
}

/// Bytes of all models' tensors, inputs and outputs, if a morsel has `rows` rows and memory suffices for `most` images.
fn tensor_bytes(plans: &[ModelPlan], rows: usize, most: usize, batch: Option<usize>) -> Result<usize> {
    let bytes = plans.iter().map(|plan| {
        let Sizes { slots, batch } = Sizes::of(&plan.model, plans.len(), rows, most, batch)?;
        let spec = plan.model.spec();
        let image = spec.image().map_or(0, |image| Tensor::image_bytes(&image.input));
        let inputs = image + spec.numbers().map(NumbersSpec::row_bytes).sum::<usize>();
        let outputs = spec.outputs.iter().filter(|port| plan.outputs.contains(&port.name));
        let outputs = outputs.map(Port::row_bytes).fold(0, usize::saturating_add);
        Ok(slots.saturating_mul(inputs).saturating_add(batch.saturating_mul(outputs)))
    });
    bytes.sum()
}
