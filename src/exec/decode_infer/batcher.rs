//! Batches the rows of a morsel for one model: fills its tensors row by row and runs it whenever they are full.

use std::ops::Range;
use std::time::Duration;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use seequel_pixels::Target;

use super::context::Context;
use super::filled::{Filled, Slot};
use super::inference_plan::ModelPlan;
use crate::clock::Clock;
use crate::exec::adapt::Ran;
use crate::exec::predictions::Prediction;
use crate::failures::{Failure, Stage};
use crate::images::decode::RgbImage;
use crate::model::runtime::{Model, RunError};
use crate::model::tensor::{BatchOutput, Numbers, Placement, Preprocessor, RowNumbers, Tensor};

/// Buffers that a batcher writes into, reused across morsels: allocating them costs more than running a small model.
#[derive(Debug)]
pub(crate) struct BatchBuffers {
    /// `Some` if the model takes an image.
    image: Option<ImageBuffers>,
    slots: usize,
    batch: usize,
    in_use: Option<usize>,
}

#[derive(Debug)]
struct ImageBuffers {
    preprocessor: Preprocessor,
    tensor: Tensor,
}

impl BatchBuffers {
    /// Buffers with `slots` rows for `model`, which runs on at most `batch` of them at once, and on `in_use` as well if
    /// `batch` is only tried.
    pub(crate) fn new(model: &Model, slots: usize, batch: usize, in_use: Option<usize>) -> Self {
        let image = model.spec().image().map(|image| ImageBuffers {
            preprocessor: Preprocessor::new(image),
            tensor: Tensor::new(&image.input, slots),
        });
        Self { image, slots, batch: batch.max(1), in_use }
    }
}

/// Runs one model on the rows of a morsel.
#[derive(Debug)]
pub(crate) struct Batcher<'a> {
    plan: &'a ModelPlan,
    context: &'a Context<'a>,
    /// That of the thread.
    clock: &'a Clock,
    buffers: &'a mut BatchBuffers,
    /// The rows' numbers, for each input that takes numbers.
    given: Vec<RowNumbers<'a>>,
    filled: Filled,
    /// For each of the plan's `postprocesses`, one prediction per row.
    predictions: Vec<Vec<Prediction>>,
    /// All runs, without those at the size that is tried.
    runs: Runs,
    tried: Runs,
    /// Whether the size that is tried gave other outputs.
    differs: bool,
}

/// Rows that the model ran on, and how long.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    rows: usize,
    time: Duration,
}

/// What came of a batch that was divided.
#[derive(Debug, Default)]
struct Bisected {
    /// Rows of the largest part that the model took.
    largest: usize,
    /// Rows at fault.
    failed: usize,
}

impl<'a> Batcher<'a> {
    /// A batcher for `rows` rows; `given` holds their numbers, for each input that takes numbers.
    pub(crate) fn new(
        plan: &'a ModelPlan,
        rows: usize,
        given: Vec<RowNumbers<'a>>,
        buffers: &'a mut BatchBuffers,
        context: &'a Context<'a>,
        clock: &'a Clock,
    ) -> Self {
        let filled = Filled::new(given.len());
        let predictions = vec![vec![Prediction::Null; rows]; plan.postprocesses.len()];
        let (runs, tried) = (Runs::default(), Runs::default());
        Self { plan, context, clock, buffers, given, filled, predictions, runs, tried, differs: false }
    }

    /// Adds `row`, with `image` if the model takes one, and runs the model if the tensors are then full. The prediction
    /// for a row without numbers is NULL.
    pub(crate) fn push(&mut self, row: usize, image: Option<&RgbImage>) -> Result<()> {
        let Some(numbers) = self.numbers(row)? else { return Ok(()) };
        match self.write(image) {
            Ok(placement) => self.add(Slot { row, placement }, numbers),
            Err(reason) => {
                self.fail(row, &Failure::new(Stage::Preprocess, reason));
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
            self.fail(row, &Failure::new(Stage::Preprocess, reason));
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
        // The image has been decoded a moment ago, or written for another model.
        let _preprocessing = self.clock.next(&self.context.metrics.preprocess_time);
        buffers.preprocessor.write(image, &mut buffers.tensor, self.filled.rows.len())?;
        Ok(Some(Placement::new(spec, image)))
    }

    /// Sets the predictions for `row` to a failure.
    pub(crate) fn fail(&mut self, row: usize, failure: &Failure) {
        for predictions in &mut self.predictions {
            predictions[row] = Prediction::Failed(failure.clone());
        }
    }

    /// Runs the remaining rows and returns the predictions, for each of the plan's `postprocesses` one per row, and how the
    /// model ran.
    pub(crate) fn finish(mut self) -> Result<(Vec<Vec<Prediction>>, Ran)> {
        self.run()?;
        // A size is tried on some of the rows, as if on all.
        let time = match (self.buffers.in_use, self.tried.rows) {
            (None, _) => self.runs.time,
            (Some(_), 0) => Duration::ZERO,
            (Some(_), tried) => self.tried.time.mul_f64(self.runs.rows as f64 / tried as f64),
        };
        Ok((self.predictions, Ran { time, differs: self.differs }))
    }

    /// Runs the model on the filled slots, batch by batch.
    fn run(&mut self) -> Result<()> {
        let filled = std::mem::replace(&mut self.filled, Filled::new(self.given.len()));
        let (mut first, rows) = (0, filled.rows.len());
        while first < rows {
            let most = self.bounded(self.buffers.batch)?;
            let in_use = self.buffers.in_use.map(|in_use| self.bounded(in_use)).transpose()?;
            let both = most.max(in_use.unwrap_or_default());
            let next = first + both;
            first = match in_use {
                Some(in_use) if next <= rows => {
                    self.try_size(&filled, first..next, most, in_use)?;
                    next
                }
                _ => {
                    let next = rows.min(first + in_use.unwrap_or(most));
                    self.run_batch(&filled, first..next)?;
                    next
                }
            };
        }
        Ok(())
    }

    /// Runs the model on some slots at the size `tried` and then at the one in use, whose outputs count.
    fn try_size(&mut self, filled: &Filled, slots: Range<usize>, tried: usize, in_use: usize) -> Result<()> {
        let before = self.runs;
        let at_tried = self.run_parts(filled, slots.clone(), tried)?;
        let time = self.runs.time - before.time;
        self.runs = before;
        let at_in_use = match &at_tried {
            Some(_) => self.run_parts(filled, slots.clone(), in_use)?,
            None => None,
        };
        let (Some(at_tried), Some(at_in_use)) = (at_tried, at_in_use) else {
            // The rows at fault, if it is not the size that the model rejects, are found at the size in use.
            (self.differs, self.runs) = (true, before);
            return parts(slots, in_use).try_for_each(|part| self.run_batch(filled, part));
        };
        self.tried.rows += slots.len();
        self.tried.time += time;
        self.plan.metrics.inferred_rows.add(slots.len());
        self.differs |= !rows(&at_tried).eq(rows(&at_in_use));
        at_in_use.into_iter().for_each(|(part, outputs)| self.postprocess(&filled.rows[part], &outputs));
        Ok(())
    }

    /// Runs the model on parts of `slots`, of at most `most` each; `None` if it rejects one.
    fn run_parts(&mut self, filled: &Filled, slots: Range<usize>, most: usize) -> Result<Option<Vec<Part>>> {
        let mut all = vec![];
        for part in parts(slots, most) {
            let Ok(outputs) = self.run_slots(filled, part.clone())? else { return Ok(None) };
            all.push((part, outputs));
        }
        Ok(Some(all))
    }

    /// A batch size, or the largest that the model's device takes.
    fn bounded(&self, rows: usize) -> Result<usize> {
        let ModelPlan { model, .. } = self.plan;
        let bound = if model.fixed_batch()?.is_some() { None } else { model.bound()?.rows() };
        Ok(bound.map_or(rows, |bound| bound.min(rows)))
    }

    /// Runs the model on a batch. If that fails, only the rows at fault do.
    fn run_batch(&mut self, filled: &Filled, slots: Range<usize>) -> Result<()> {
        let ModelPlan { model, metrics, .. } = self.plan;
        metrics.inferred_rows.add(slots.len());
        let error = match self.try_slots(filled, slots.clone())? {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let is_memory = matches!(error, RunError::OutOfMemory(_));
        let fixed = model.fixed_batch()?;
        // A run of one row is padded to as many, so that it takes as much memory, unless that depends on what is in them.
        if let (RunError::OutOfMemory(reason), Some(rows)) = (&error, fixed.filter(|rows| *rows > 1))
            && !self.takes_zeros(filled, slots.clone())?
        {
            let reason =
                format!("{reason}; the model's batch is always of {rows} rows and can't be made smaller");
            let error = RunError::OutOfMemory(reason);
            filled.rows[slots].iter().for_each(|slot| self.fail_in_run(slot.row, &error));
            return Ok(());
        }
        if slots.len() == 1 {
            self.fail_in_run(filled.rows[slots.start].row, &error);
            return Ok(());
        }
        metrics.retried_batches.add(1);
        let Bisected { largest, failed } = self.bisect(filled, slots)?;
        // Without a row at fault it is the size that the model refuses. How long a run takes is not the model's alone.
        let is_refused = is_memory || failed == 0 && !matches!(error, RunError::TimedOut(_));
        if largest > 0 && is_refused && fixed.is_none() {
            model.bound()?.learn(largest, is_memory);
        }
        Ok(())
    }

    /// Runs the model on both halves of a batch that it rejected, and on halves of these, down to the rows at fault.
    fn bisect(&mut self, filled: &Filled, slots: Range<usize>) -> Result<Bisected> {
        let middle = slots.start + slots.len() / 2;
        let mut all = Bisected::default();
        for half in [slots.start..middle, middle..slots.end] {
            let rows = half.len();
            let bisected = match self.try_slots(filled, half.clone())? {
                Ok(()) => Bisected { largest: rows, failed: 0 },
                Err(error) if rows == 1 => {
                    self.fail_in_run(filled.rows[half.start].row, &error);
                    Bisected { largest: 0, failed: 1 }
                }
                Err(_) => self.bisect(filled, half)?,
            };
            all.largest = all.largest.max(bisected.largest);
            all.failed += bisected.failed;
        }
        Ok(all)
    }

    /// Runs the model on some slots, and postprocesses its outputs unless it rejects these rows with the inner error.
    fn try_slots(&mut self, filled: &Filled, slots: Range<usize>) -> Result<Result<(), RunError>> {
        let outputs = self.run_slots(filled, slots.clone())?;
        Ok(outputs.map(|outputs| self.postprocess(&filled.rows[slots], &outputs)))
    }

    /// Runs the model on some slots, unless it rejects these rows with the inner error.
    fn run_slots(
        &mut self,
        filled: &Filled,
        slots: Range<usize>,
    ) -> Result<Result<Vec<BatchOutput>, RunError>> {
        let cancellation = self.context.cancellation;
        cancellation.check()?;
        let ModelPlan { model, outputs, metrics, .. } = self.plan;
        let fixed = model.fixed_batch()?;
        let tensor = self.buffers.image.as_ref().map(|image| &image.tensor);
        // A batch of fixed size is padded with zeros, not with the rows that it was divided from.
        let copied = fixed.filter(|_| slots.len() < filled.rows.len());
        let copy = copied.and_then(|rows| Some(tensor?.images(slots.clone(), rows)));
        let images = match &copy {
            Some(copy) => Some((copy, 0)),
            None => tensor.map(|tensor| (tensor, slots.start)),
        };
        metrics.batches.add(1);
        metrics.padded_rows.add(fixed.map_or(0, |rows| rows.saturating_sub(slots.len())));
        let most = self.context.bounds.max_output_elements;
        let rows = slots.len();
        let batch = filled.batch(images, slots, most);
        let run = || model.run_timed(&batch, outputs, &metrics.run_times, self.clock, cancellation);
        let (ran, time) = metrics.batch_span(model, rows).in_scope(run)?;
        self.runs.rows += rows;
        self.runs.time += time;
        metrics.device_use.sample(|| model.device_use());
        Ok(ran)
    }

    /// Whether the model runs on a batch of zeros, of the lengths of the numbers in `slots`.
    fn takes_zeros(&self, filled: &Filled, slots: Range<usize>) -> Result<bool> {
        let ModelPlan { model, outputs, .. } = self.plan;
        let images = self.buffers.image.as_ref().map(|image| (&image.tensor, slots.start));
        let batch = filled.batch(images, slots, self.context.bounds.max_output_elements);
        Ok(model.takes_zeros(&batch, outputs, self.context.cancellation)?)
    }

    fn fail_in_run(&mut self, row: usize, error: &RunError) {
        self.fail(row, &Failure::new(Stage::Infer, error.to_string()));
    }

    fn postprocess(&mut self, rows: &[Slot], outputs: &[BatchOutput]) {
        // The model has run a moment ago.
        let _postprocessing = self.clock.next(&self.context.metrics.postprocess_time);
        let spec = self.plan.model.spec();
        for ((postprocess, positions), predictions) in
            self.plan.postprocesses.iter().zip(&mut self.predictions)
        {
            let outputs: Vec<_> = positions.iter().filter_map(|position| outputs.get(*position)).collect();
            for (number, Slot { row, placement }) in rows.iter().enumerate() {
                predictions[*row] = match postprocess.apply(spec, &outputs, number, placement.as_ref()) {
                    Ok(value) => Prediction::Value(value),
                    Err(reason) => Prediction::Failed(Failure::new(Stage::Postprocess, reason)),
                };
            }
        }
    }
}

/// Parts of `slots`, of at most `most` each.
fn parts(slots: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let (end, most) = (slots.end, most.max(1));
    slots.step_by(most).map(move |start| start..end.min(start + most))
}

/// Some slots, and the outputs for them.
type Part = (Range<usize>, Vec<BatchOutput>);

/// The numbers of all outputs, row by row.
fn rows(parts: &[Part]) -> impl Iterator<Item = Vec<ArrayRef>> {
    let of_part = |(slots, outputs): &Part| {
        (0..slots.len())
            .map(|row| outputs.iter().map(|output| output.image(row)).collect())
            .collect::<Vec<_>>()
    };
    parts.iter().flat_map(of_part)
}
