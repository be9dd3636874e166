//! One model's way through a morsel: its tensor filling up slot by slot, run whenever it is full.

use datafusion::error::Result;

use super::agenda::LanePlan;
use super::answer::Answer;
use super::metrics::InferMetrics;
use crate::images::RgbImage;
use crate::models::{BatchOutput, Model, Placement, Preprocessor, Tensor};

/// What a lane works with, which outlives a morsel: making it anew costs more than a small model's run.
#[derive(Debug)]
pub(crate) struct LaneBuffers {
    preprocessor: Preprocessor,
    tensor: Tensor,
    slots: usize,
    batch: usize,
}

impl LaneBuffers {
    /// Buffers of `slots` images for `model`, which runs on at most `batch` of them at once.
    pub(crate) fn new(model: &Model, slots: usize, batch: usize) -> Self {
        let tensor = Tensor::new(&model.spec().input, slots);
        Self { preprocessor: Preprocessor::new(model.spec()), tensor, slots, batch: batch.max(1) }
    }
}

/// A model and the rows of a morsel on their way through it.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    plan: &'a LanePlan,
    metrics: &'a InferMetrics,
    buffers: &'a mut LaneBuffers,
    /// The row that each filled slot belongs to, and how its image lies in the slot.
    filled: Vec<(usize, Placement)>,
    /// For each reading an answer a row.
    answers: Vec<Vec<Answer>>,
}

impl<'a> Lane<'a> {
    /// A lane for `rows` rows.
    pub(crate) fn new(
        plan: &'a LanePlan,
        rows: usize,
        buffers: &'a mut LaneBuffers,
        metrics: &'a InferMetrics,
    ) -> Self {
        let filled = Vec::with_capacity(buffers.slots);
        Self { plan, metrics, buffers, filled, answers: vec![vec![Answer::Null; rows]; plan.readings.len()] }
    }

    /// Takes the image of `row`; runs the model if that fills the tensor.
    pub(crate) fn push(&mut self, row: usize, image: &RgbImage) -> Result<()> {
        let LaneBuffers { preprocessor, tensor, slots, .. } = &mut *self.buffers;
        if let Err(reason) = preprocessor.write(image, tensor, self.filled.len()) {
            self.fail(row, &reason);
            return Ok(());
        }
        self.filled.push((row, Placement::new(self.plan.model.spec(), image)));
        if self.filled.len() == *slots { self.run() } else { Ok(()) }
    }

    /// Answers `row` with an error.
    pub(crate) fn fail(&mut self, row: usize, reason: &str) {
        for answers in &mut self.answers {
            answers[row] = Answer::Failed(reason.to_owned());
        }
    }

    /// Runs what is left and returns the answers: for each reading, a row each.
    pub(crate) fn finish(mut self) -> Result<Vec<Vec<Answer>>> {
        self.run()?;
        Ok(self.answers)
    }

    /// Runs the model on the filled slots, batch after batch.
    fn run(&mut self) -> Result<()> {
        let filled = std::mem::take(&mut self.filled);
        for (number, rows) in filled.chunks(self.buffers.batch).enumerate() {
            self.run_batch(number * self.buffers.batch, rows)?;
        }
        Ok(())
    }

    /// Runs the model on the slots from `first` on, which belong to `rows`.
    fn run_batch(&mut self, first: usize, rows: &[(usize, Placement)]) -> Result<()> {
        self.metrics.batches.add(1);
        self.metrics.inferred_rows.add(rows.len());
        let LanePlan { model, outputs, .. } = self.plan;
        let slots = first..first + rows.len();
        match model.run(&self.buffers.tensor, slots, outputs, &self.metrics.run_times)? {
            Ok(outputs) => self.answer(rows, &outputs),
            Err(reason) if rows.len() == 1 => self.fail(rows[0].0, &reason),
            Err(_) => self.run_one_by_one(first, rows)?,
        }
        Ok(())
    }

    /// A batch that fails as a whole is run again image by image, so that only the culprit pays.
    fn run_one_by_one(&mut self, first: usize, rows: &[(usize, Placement)]) -> Result<()> {
        let LanePlan { model, outputs, .. } = self.plan;
        for (slot, row) in (first..).zip(rows) {
            let part = self.buffers.tensor.image(&model.spec().input, slot);
            self.metrics.batches.add(1);
            match model.run(&part, 0..1, outputs, &self.metrics.run_times)? {
                Ok(outputs) => self.answer(&[*row], &outputs),
                Err(reason) => self.fail(row.0, &reason),
            }
        }
        Ok(())
    }

    fn answer(&mut self, rows: &[(usize, Placement)], outputs: &[BatchOutput]) {
        let spec = self.plan.model.spec();
        for ((reading, positions), answers) in self.plan.readings.iter().zip(&mut self.answers) {
            let outputs: Vec<_> = positions.iter().filter_map(|position| outputs.get(*position)).collect();
            for (image, (row, placement)) in rows.iter().enumerate() {
                answers[*row] = match reading.read(spec, &outputs, image, placement) {
                    Ok(value) => Answer::Is(value),
                    Err(reason) => Answer::Failed(reason),
                };
            }
        }
    }
}
