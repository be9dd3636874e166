//! Inference on one batch of rows after the other: its expressions, the models of each group of calls, and what becomes of
//! rows that fail.
//!
//! ```text
//!  batch ─► image expressions ─► decode_infer, group by group ─► batch + one column per call
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, not};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::Result;
use datafusion::physical_plan::PhysicalExpr;
use rayon::ThreadPool;
use seequel_udfs::ImageArray;

use super::adapt::Adaptation;
use super::decode_infer::{
    BatchBuffers, Context, Decoders, InHand, Inferred, Inputs, Reservation, WorkerMemory, decode_infer,
};
use super::failures::{BatchFailures, Predictions, Undecoded, or_a_row};
use super::group::Group;
use super::metrics::{Chosen, InferMetrics, Observed, RowRecord};
use super::predictions::FunctionColumn;
use crate::clock::Clock;
use crate::config::{InferenceOptions, OnError};
use crate::exec::exchange::Growing;
use crate::failures::{QueryFailures, SkippedRow, Stage};
use crate::images::functions::DecodedRows;
use crate::model::runtime::Cancellation;
use crate::resume::hashes;

/// The inference of one partition, on any thread.
#[derive(Debug)]
pub(super) struct BatchInference {
    pub(super) schema: SchemaRef,
    pub(super) groups: Vec<Group>,
    /// Those that decode an image for themselves.
    pub(super) functions: Vec<FunctionColumn>,
    pub(super) row: Option<Arc<dyn PhysicalExpr>>,
    /// Positions of the key's columns, if rows that are left out are to be told of.
    pub(super) key: Option<Vec<usize>>,
    /// What becomes of rows that fail is as the query was planned.
    pub(super) options: InferenceOptions,
    pub(super) failures: QueryFailures,
    pub(super) undecoded: Arc<Undecoded>,
    pub(super) undecoded_below: Option<Arc<Undecoded>>,
    pub(super) metrics: InferMetrics,
    pub(super) reservation: Reservation,
    pub(super) memory: Arc<WorkerMemory<Vec<BatchBuffers>>>,
    pub(super) cancellation: Cancellation,
    pub(super) adaptation: Arc<Adaptation>,
    /// The rows of the morsels to come, if they may become more.
    pub(super) morsel_rows: Option<Growing>,
    pub(super) decoders: Option<Arc<Decoders>>,
    /// Those of `decoders`, once they are needed.
    pub(super) decode_threads: OnceLock<Arc<ThreadPool>>,
    /// What single rows are like, if anybody asks.
    pub(super) record: Option<RowRecord>,
}

/// Rows that are inferred together.
#[derive(Debug, Clone, Copy)]
struct Rows<'a> {
    /// With NULL for the images that processes have died of.
    batch: &'a RecordBatch,
    names: Option<&'a ArrayRef>,
    in_hand: Option<&'a InHand<'a>>,
}

impl BatchInference {
    /// Columns of the input, and one for each call.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Loads the models now that otherwise load with their first batch.
    pub(super) fn load_models(&self) -> Result<()> {
        let models = self.groups.iter().flat_map(|group| group.plan.models());
        Ok(models.map(|plan| &plan.model).try_for_each(|model| model.load_first())?)
    }

    /// What messages call the rows of `batch`, if they have names.
    pub(super) fn names(&self, batch: &RecordBatch) -> Result<Option<ArrayRef>> {
        let row = self.row.as_ref();
        row.map(|row| row.evaluate(batch)?.into_array(batch.num_rows())).transpose()
    }

    /// Appends the predictions to a batch; those whose rows fail may be left out. `clock` is that of the thread.
    pub(super) fn infer(
        &self,
        batch: &RecordBatch,
        in_hand: Option<&InHand<'_>>,
        clock: &Clock,
    ) -> Result<RecordBatch> {
        let _timer = self.metrics.baseline.elapsed_compute().timer();
        let _preparing = clock.during(&self.metrics.argument_time);
        let names = self.names(batch)?;
        let touched = in_hand.map(|in_hand| in_hand.without_convicted(batch)).transpose()?.flatten();
        let rows = Rows { batch: touched.as_ref().unwrap_or(batch), names: names.as_ref(), in_hand };
        let mut failures = self.crashed(&rows);
        let mut columns = self.predict(&rows, &mut failures, clock)?;
        failures.report(batch.num_rows(), &self.failures, &self.options, |row| rows.name(row))?;
        columns.sort_by_key(|(position, _)| *position);
        let predictions = columns.into_iter().map(|(_, column)| column);
        let columns = batch.columns().iter().cloned().chain(predictions).collect();
        let inferred = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        match failures.unfailed(batch.num_rows()).filter(|_| self.options.on_error == OnError::Skip) {
            Some(unfailed) => {
                self.metrics.skipped_rows.add(unfailed.false_count());
                self.tell_of_skipped(batch, &unfailed)?;
                Ok(filter_record_batch(&inferred, &unfailed)?)
            }
            None => Ok(inferred),
        }
    }

    /// The rows that processes have died of, which have failed.
    fn crashed(&self, rows: &Rows<'_>) -> BatchFailures {
        let mut failures = BatchFailures::default();
        for (row, reason, image) in rows.in_hand.into_iter().flat_map(InHand::convicted) {
            failures.add_crash(row, reason);
            failures.add_known(image.filter(|image| self.has_failed_below(image)).map(|_| row));
            image.into_iter().for_each(|image| self.undecoded.add(image));
        }
        failures
    }

    /// The columns of all calls, with their positions.
    fn predict(
        &self,
        rows: &Rows<'_>,
        failures: &mut BatchFailures,
        clock: &Clock,
    ) -> Result<Vec<(usize, ArrayRef)>> {
        let has_images = self.groups.iter().any(|group| group.image.is_some());
        let record = self.record.as_ref().filter(|_| has_images);
        let choose = |record: &RowRecord| record.choose(rows.batch.num_rows(), |row| rows.name(row));
        let chosen = record.map(choose).transpose()?.unwrap_or_default();
        let mut columns = vec![];
        for function in &self.functions {
            columns.push((function.position, function.evaluate(rows.batch, rows.names, None)?));
        }
        for (key, group) in self.groups.iter().enumerate() {
            let decoded = DecodedRows::default();
            for function in &group.functions {
                let column = function.evaluate(rows.batch, rows.names, Some(&decoded))?;
                columns.push((function.position, column));
            }
            let predictions = self.infer_group(key, rows, decoded.take(), &chosen, clock, failures)?;
            let _postprocessing = clock.next(&self.metrics.postprocess_time);
            for (column, predictions) in group.columns.iter().zip(predictions) {
                self.record_predictions(rows, &chosen, &predictions)?;
                let (on_error, name) = (self.options.on_error, |row| rows.name(row));
                columns.push((*column, failures.accept(predictions, on_error, &self.metrics, name)?));
            }
        }
        Ok(columns)
    }

    fn record_predictions(
        &self,
        rows: &Rows<'_>,
        chosen: &[Chosen],
        predictions: &Predictions,
    ) -> Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        let Predictions { model, column, failures, .. } = predictions;
        record.show_found(chosen, model, column)?;
        for (row, failure) in failures {
            record.add_error(&failure.reason, || rows.known_as(*row))?;
            let chosen = chosen.iter().find(|chosen| chosen.row == *row);
            chosen.into_iter().for_each(|chosen| record.show_error(chosen, &failure.reason));
        }
        Ok(())
    }

    /// The predictions of the calls of group `key`.
    fn infer_group(
        &self,
        key: usize,
        rows: &Rows<'_>,
        decoded: BTreeMap<usize, Option<String>>,
        chosen: &[Chosen],
        clock: &Clock,
        failures: &mut BatchFailures,
    ) -> Result<Vec<Predictions>> {
        let (group, count) = (&self.groups[key], rows.batch.num_rows());
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(rows.batch)?.into_array(count);
        let images = group.image.as_ref().map(evaluate).transpose()?;
        let images = images.as_ref().map(ImageArray::try_new).transpose()?;
        let numbers = group.numbers.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let inputs = Inputs { rows: count, images, numbers: &numbers, decoded };
        let observed = self.record.as_ref().map(|record| Observed::new(record, chosen));
        let models = group.plan.models().iter().map(|plan| &plan.model);
        let batches = self.adaptation.next(key, models, count)?;
        let context = Context {
            bounds: self.options.bounds,
            metrics: &self.metrics,
            reservation: &self.reservation,
            memory: &self.memory,
            cancellation: &self.cancellation,
            batches,
            observed: observed.as_ref(),
            in_hand: rows.in_hand,
            decoders: self.decode_threads()?,
        };
        let Inferred { predictions, runs } = decode_infer(&inputs, &group.plan, key, &context, clock)?;
        let wanted = self.adaptation.add(key, &context.batches, count, &runs);
        self.morsel_rows.iter().zip(wanted).for_each(|(morsels, rows)| morsels.grow(rows));
        if let Some(images) = &inputs.images {
            failures.add_known(self.undecoded_below(images, &predictions));
        }
        if let (Some(record), Some(observed), Some(images)) = (&self.record, observed, &inputs.images) {
            for (row, time) in observed.into_times() {
                record.add_image(time, || Ok((rows.known_as(row)?, images.get(row))))?;
            }
        }
        Ok(predictions)
    }

    /// The rows whose image can't be decoded, and could not be decoded below. All are noted for the operator above.
    fn undecoded_below(&self, images: &ImageArray<'_>, predictions: &[Predictions]) -> Vec<usize> {
        let failures = predictions.iter().flat_map(|predictions| &predictions.failures);
        let undecoded = failures.filter(|(_, failure)| failure.stage == Stage::Decode);
        let images = undecoded.filter_map(|(row, _)| Some((*row, images.get(*row)?)));
        let images = images.inspect(|(_, image)| self.undecoded.add(image));
        images.filter(|(_, image)| self.has_failed_below(image)).map(|(row, _)| row).collect()
    }

    fn has_failed_below(&self, image: &[u8]) -> bool {
        self.undecoded_below.as_ref().is_some_and(|below| below.contains(image))
    }

    /// Passes on the keys of the rows that are left out, if anybody asks.
    fn tell_of_skipped(&self, batch: &RecordBatch, unfailed: &BooleanArray) -> Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let skipped = filter_record_batch(batch, &not(unfailed)?)?;
        let (paths, keys) = (hashes(&skipped, &key[..1])?, hashes(&skipped, key)?);
        let rows = paths.into_iter().zip(keys).map(|(path, key)| SkippedRow { path, key });
        self.failures.add_skipped(rows);
        Ok(())
    }

    fn decode_threads(&self) -> Result<Option<&ThreadPool>> {
        let Some(decoders) = &self.decoders else { return Ok(None) };
        if let Some(threads) = self.decode_threads.get() {
            return Ok(Some(threads));
        }
        let threads = decoders.start()?;
        Ok(Some(self.decode_threads.get_or_init(|| threads)))
    }
}

impl Drop for BatchInference {
    fn drop(&mut self) {
        self.memory.leave();
    }
}

impl Rows<'_> {
    fn name(&self, row: usize) -> Result<Option<String>> {
        Ok(self.names.map(|names| array_value_to_string(names, row)).transpose()?)
    }

    /// What messages call a row.
    fn known_as(&self, row: usize) -> Result<String> {
        Ok(or_a_row(self.name(row)?))
    }
}
