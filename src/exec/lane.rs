//! One model's way through a morsel: its tensor filling up slot by slot, run whenever it is full.

use datafusion::arrow::array::{ArrayRef, Float32Builder, Int32Builder, StringBuilder, StructArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::error::Result;
use seequel_udfs::classification_fields;
use std::sync::Arc;

use super::metrics::InferMetrics;
use crate::images::RgbImage;
use crate::models::{BestClass, Model, Preprocessor, Tensor, best_class};

/// What became of one row.
#[derive(Debug, Clone)]
enum Answer {
    /// The image was NULL.
    Null,
    Class(BestClass),
    Failed(String),
}

/// A model and the rows of a morsel on their way through it.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    model: &'a Model,
    metrics: &'a InferMetrics,
    preprocessor: Preprocessor,
    tensor: Tensor,
    slots: usize,
    /// The row that each filled slot belongs to.
    filled: Vec<usize>,
    answers: Vec<Answer>,
}

impl<'a> Lane<'a> {
    /// A lane for `rows` rows that runs `model` on at most `slots` of them at a time.
    pub(crate) fn new(model: &'a Model, rows: usize, slots: usize, metrics: &'a InferMetrics) -> Self {
        Self {
            model,
            metrics,
            preprocessor: Preprocessor::new(model.spec()),
            tensor: Tensor::new(&model.spec().input, slots),
            slots,
            filled: Vec::with_capacity(slots),
            answers: vec![Answer::Null; rows],
        }
    }

    /// Takes the image of `row`; runs the model if that fills the tensor.
    pub(crate) fn push(&mut self, row: usize, image: &RgbImage) -> Result<()> {
        if let Err(reason) = self.preprocessor.write(image, &mut self.tensor, self.filled.len()) {
            self.fail(row, reason);
            return Ok(());
        }
        self.filled.push(row);
        if self.filled.len() == self.slots { self.run() } else { Ok(()) }
    }

    /// Answers `row` with an error.
    pub(crate) fn fail(&mut self, row: usize, reason: String) {
        self.metrics.failed_rows.add(1);
        self.answers[row] = Answer::Failed(reason);
    }

    /// Runs what is left and returns the answers, a row each, with the first failure if there was one.
    pub(crate) fn finish(mut self) -> Result<Answers> {
        self.run()?;
        let failed = self.answers.iter().enumerate().find_map(|(row, answer)| match answer {
            Answer::Failed(reason) => Some((row, reason.clone())),
            Answer::Null | Answer::Class(_) => None,
        });
        Ok(Answers { column: self.column()?, first_failure: failed })
    }

    fn run(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.filled);
        if rows.is_empty() {
            return Ok(());
        }
        self.metrics.batches.add(1);
        self.metrics.inferred_rows.add(rows.len());
        match self.model.run(&self.tensor, rows.len(), &self.metrics.run_times)? {
            Ok(values) => self.answer(&rows, &values),
            Err(reason) if rows.len() == 1 => self.fail(rows[0], reason),
            Err(_) => self.run_one_by_one(&rows)?,
        }
        Ok(())
    }

    /// A batch that fails as a whole is run again image by image, so that only the culprit pays.
    fn run_one_by_one(&mut self, rows: &[usize]) -> Result<()> {
        for (slot, row) in rows.iter().enumerate() {
            let part = self.tensor.image(&self.model.spec().input, slot);
            self.metrics.batches.add(1);
            match self.model.run(&part, 1, &self.metrics.run_times)? {
                Ok(values) => self.answer(&[*row], &values),
                Err(reason) => self.fail(*row, reason),
            }
        }
        Ok(())
    }

    fn answer(&mut self, rows: &[usize], values: &[f32]) {
        let output = &self.model.spec().output;
        for (row, values) in rows.iter().zip(values.chunks_exact(output.classes)) {
            match best_class(values, output.activation) {
                Some(best) => self.answers[*row] = Answer::Class(best),
                None => self.fail(*row, format!("output '{}' is not a number", output.name)),
            }
        }
    }

    fn column(&self) -> Result<ArrayRef> {
        let spec = self.model.spec();
        let (mut label, mut class, mut confidence) =
            (StringBuilder::new(), Int32Builder::new(), Float32Builder::new());
        let (mut model, mut error) = (StringBuilder::new(), StringBuilder::new());
        for answer in &self.answers {
            let best = match answer {
                Answer::Class(best) => Some(best),
                Answer::Null | Answer::Failed(_) => None,
            };
            label.append_option(best.map(|best| spec.labels.get(best.class)));
            class.append_option(best.map(|best| best.class as i32));
            confidence.append_option(best.map(|best| best.confidence));
            model.append_option((!matches!(answer, Answer::Null)).then_some(&spec.name));
            error.append_option(match answer {
                Answer::Failed(reason) => Some(reason),
                Answer::Null | Answer::Class(_) => None,
            });
        }
        let nulls = NullBuffer::from_iter(self.answers.iter().map(|answer| !matches!(answer, Answer::Null)));
        Ok(Arc::new(StructArray::try_new(
            classification_fields().clone(),
            vec![
                Arc::new(label.finish()),
                Arc::new(class.finish()),
                Arc::new(confidence.finish()),
                Arc::new(model.finish()),
                Arc::new(error.finish()),
            ],
            Some(nulls),
        )?))
    }
}

/// The answers of one lane.
#[derive(Debug)]
pub(crate) struct Answers {
    /// A row each, of `seequel_udfs::classification_type()`.
    pub(crate) column: ArrayRef,
    /// Row and reason of the first row that failed.
    pub(crate) first_failure: Option<(usize, String)>,
}
