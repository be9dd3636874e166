//! Batches the rows of a morsel for one model: fills its tensors row by row and runs it whenever they are full.

use datafusion::error::Result;
use seequel_pixels::Target;

use super::context::Context;
use super::inference_plan::ModelPlan;
use super::predictions::Prediction;
use crate::images::decode::RgbImage;
use crate::model::runtime::{Batch, Model};
use crate::model::tensor::{BatchOutput, Numbers, Placement, Preprocessor, RowNumbers, Tensor};

/// Buffers that a batcher writes into, reused across morsels: allocating them costs more than running a small model.
#[derive(Debug)]
pub(crate) struct BatchBuffers {
    /// `Some` if the model takes an image.
    image: Option<ImageBuffers>,
    slots: usize,
    batch: usize,
}

#[derive(Debug)]
struct ImageBuffers {
    preprocessor: Preprocessor,
    tensor: Tensor,
}

impl BatchBuffers {
    /// Buffers with `slots` rows for `model`, which runs on at most `batch` of them at once.
    pub(crate) fn new(model: &Model, slots: usize, batch: usize) -> Self {
        let image = model.spec().image().map(|image| ImageBuffers {
            preprocessor: Preprocessor::new(image),
            tensor: Tensor::new(&image.input, slots),
        });
        Self { image, slots, batch: batch.max(1) }
    }
}

/// Runs one model on the rows of a morsel.
#[derive(Debug)]
pub(crate) struct Batcher<'a> {
    plan: &'a ModelPlan,
    context: &'a Context<'a>,
    buffers: &'a mut BatchBuffers,
    /// The rows' numbers, for each input that takes numbers.
    given: Vec<RowNumbers<'a>>,
    filled: Filled,
    /// For each of the plan's `postprocesses`, one prediction per row.
    predictions: Vec<Vec<Prediction>>,
}

/// The rows that the model has not run on yet.
#[derive(Debug, Default)]
struct Filled {
    /// The row of each slot, and the placement of its image in the slot.
    rows: Vec<Slot>,
    /// For each input that takes numbers, the numbers of each slot, all of the same shape.
    numbers: Vec<Vec<Numbers>>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    row: usize,
    placement: Option<Placement>,
}

impl<'a> Batcher<'a> {
    /// A batcher for `rows` rows; `given` holds their numbers, for each input that takes numbers.
    pub(crate) fn new(
        plan: &'a ModelPlan,
        rows: usize,
        given: Vec<RowNumbers<'a>>,
        buffers: &'a mut BatchBuffers,
        context: &'a Context<'a>,
    ) -> Self {
        let filled = Filled::new(given.len());
        let predictions = vec![vec![Prediction::Null; rows]; plan.postprocesses.len()];
        Self { plan, context, buffers, given, filled, predictions }
    }

    /// Adds `row`, with `image` if the model takes one, and runs the model if the tensors are then full. The prediction
    /// for a row without numbers is NULL.
    pub(crate) fn push(&mut self, row: usize, image: Option<&RgbImage>) -> Result<()> {
        let Some(numbers) = self.numbers(row)? else { return Ok(()) };
        match self.write(image) {
            Ok(placement) => self.add(Slot { row, placement }, numbers),
            Err(reason) => {
                self.fail(row, &reason);
                Ok(())
            }
        }
    }

    /// Adds `row`, whose image was written to `slot`, one of the [`Self::free_slots`], as [`Self::push`] does.
    pub(crate) fn push_written(&mut self, row: usize, slot: usize, placement: Placement) -> Result<()> {
        let Some(numbers) = self.numbers(row)? else { return Ok(()) };
        let next = self.filled();
        if let Some(image) = self.buffers.image.as_mut().filter(|_| slot != next) {
            image.tensor.copy_image(slot, next);
        }
        self.add(Slot { row, placement: Some(placement) }, numbers)
    }

    /// The slots that rows have filled since the model ran.
    pub(crate) fn filled(&self) -> usize {
        self.filled.rows.len()
    }

    /// The slots that are free.
    pub(crate) fn room(&self) -> usize {
        self.buffers.slots - self.filled()
    }

    /// The free slots of the image tensor, in order, to write images into from several threads.
    pub(crate) fn free_slots(&mut self) -> Vec<Target<'_>> {
        let filled = self.filled();
        self.buffers.image.as_mut().map_or_else(Vec::new, |image| image.tensor.targets(filled))
    }

    /// The numbers of `row`, for which the waiting rows have made way if they differ in shape; `None` if there is nothing
    /// to predict.
    fn numbers(&mut self, row: usize) -> Result<Option<Vec<Numbers>>> {
        let numbers = self.given.iter().map(|given| given.row(row)).collect::<Result<Option<Vec<_>>, _>>();
        let numbers = numbers.unwrap_or_else(|reason| {
            self.fail(row, &reason);
            None
        });
        if numbers.as_ref().is_some_and(|numbers| !self.filled.takes(numbers)) {
            self.run()?;
        }
        Ok(numbers)
    }

    fn add(&mut self, slot: Slot, numbers: Vec<Numbers>) -> Result<()> {
        self.filled.push(slot, numbers);
        if self.room() == 0 { self.run() } else { Ok(()) }
    }

    /// Writes `image` into the next slot; returns its placement.
    fn write(&mut self, image: Option<&RgbImage>) -> Result<Option<Placement>, String> {
        let (Some(buffers), Some(spec)) = (&mut self.buffers.image, self.plan.model.spec().image()) else {
            return Ok(None);
        };
        let image = image.ok_or("there is no image")?;
        let _timer = self.context.metrics.preprocess_time.timer();
        buffers.preprocessor.write(image, &mut buffers.tensor, self.filled.rows.len())?;
        Ok(Some(Placement::new(spec, image)))
    }

    /// Sets the predictions for `row` to an error.
    pub(crate) fn fail(&mut self, row: usize, reason: &str) {
        for predictions in &mut self.predictions {
            predictions[row] = Prediction::Failed(reason.to_owned());
        }
    }

    /// Runs the remaining rows and returns the predictions: for each of the plan's `postprocesses`, one per row.
    pub(crate) fn finish(mut self) -> Result<Vec<Vec<Prediction>>> {
        self.run()?;
        Ok(self.predictions)
    }

    /// Runs the model on the filled slots, batch by batch.
    fn run(&mut self) -> Result<()> {
        let filled = std::mem::replace(&mut self.filled, Filled::new(self.given.len()));
        for first in (0..filled.rows.len()).step_by(self.buffers.batch) {
            let slots = filled.rows.len().min(first + self.buffers.batch) - first;
            self.run_batch(&filled, first, slots)?;
        }
        Ok(())
    }

    /// Runs the model on `slots` slots, starting at `first`.
    fn run_batch(&mut self, filled: &Filled, first: usize, slots: usize) -> Result<()> {
        let cancellation = self.context.cancellation;
        cancellation.check()?;
        let ModelPlan { model, outputs, metrics, .. } = self.plan;
        metrics.batches.add(1);
        metrics.inferred_rows.add(slots);
        metrics.padded_rows.add(model.fixed_batch()?.map_or(0, |rows| rows.saturating_sub(slots)));
        let images = self.buffers.image.as_ref().map(|image| (&image.tensor, first));
        let rows = &filled.rows[first..first + slots];
        match model.run(&filled.batch(images, first, slots), outputs, &metrics.run_times, cancellation)? {
            Ok(outputs) => self.postprocess(rows, &outputs),
            Err(reason) if slots == 1 => self.fail(rows[0].row, &reason),
            Err(_) => {
                metrics.retried_batches.add(1);
                (first..first + slots).try_for_each(|slot| self.run_alone(filled, slot))?;
            }
        }
        Ok(())
    }

    /// Runs the model on one slot. A failed batch is rerun row by row, so that only the rows that cause the error fail.
    fn run_alone(&mut self, filled: &Filled, slot: usize) -> Result<()> {
        let cancellation = self.context.cancellation;
        cancellation.check()?;
        let ModelPlan { model, outputs, metrics, .. } = self.plan;
        let buffers = self.buffers.image.as_ref();
        let rows = model.fixed_batch()?.unwrap_or(1);
        let alone = buffers.map(|buffers| buffers.tensor.image(slot, rows));
        let images = alone.as_ref().map(|tensor| (tensor, 0));
        metrics.batches.add(1);
        metrics.padded_rows.add(rows - 1);
        match model.run(&filled.batch(images, slot, 1), outputs, &metrics.run_times, cancellation)? {
            Ok(outputs) => self.postprocess(&filled.rows[slot..=slot], &outputs),
            Err(reason) => self.fail(filled.rows[slot].row, &reason),
        }
        Ok(())
    }

    fn postprocess(&mut self, rows: &[Slot], outputs: &[BatchOutput]) {
        let _timer = self.context.metrics.postprocess_time.timer();
        let spec = self.plan.model.spec();
        for ((postprocess, positions), predictions) in
            self.plan.postprocesses.iter().zip(&mut self.predictions)
        {
            let outputs: Vec<_> = positions.iter().filter_map(|position| outputs.get(*position)).collect();
            for (number, Slot { row, placement }) in rows.iter().enumerate() {
                predictions[*row] = match postprocess.apply(spec, &outputs, number, placement.as_ref()) {
                    Ok(value) => Prediction::Value(value),
                    Err(reason) => Prediction::Failed(reason),
                };
            }
        }
    }
}

impl Filled {
    fn new(inputs: usize) -> Self {
        Self { rows: vec![], numbers: vec![vec![]; inputs] }
    }

    /// Whether `numbers` have the same shapes as those of the waiting rows.
    fn takes(&self, numbers: &[Numbers]) -> bool {
        let waiting = self.numbers.iter().zip(numbers);
        waiting
            .into_iter()
            .all(|(waiting, next)| waiting.first().is_none_or(|first| first.shape == next.shape))
    }

    fn push(&mut self, slot: Slot, numbers: Vec<Numbers>) {
        self.rows.push(slot);
        self.numbers.iter_mut().zip(numbers).for_each(|(waiting, next)| waiting.push(next));
    }

    /// The batch of `slots` slots, starting at `first`.
    fn batch<'a>(&'a self, images: Option<(&'a Tensor, usize)>, first: usize, slots: usize) -> Batch<'a> {
        let numbers = self.numbers.iter().map(|numbers| &numbers[first..first + slots]).collect();
        Batch { rows: slots, images, numbers }
    }
}
