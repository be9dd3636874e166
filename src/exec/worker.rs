//! The work of one partition of inference, on threads that may block.
//!
//! ```text
//!  batch ─► image expressions ─► decode_infer ─► batch + one column per call
//! ```
//!
//! Tokio's workers only forward batches. When the partition's stream is dropped, its work stops before the next image.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, not};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use itertools::Itertools;
use rayon::ThreadPool;
use seequel_udfs::{ImageArray, Request};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tracing::Span;

use super::adapt::Adaptation;
use super::batcher::BatchBuffers;
use super::context::Context;
use super::decode_infer::{Inferred, Inputs, decode_infer};
use super::failures::{BatchFailures, Predictions, Undecoded, or_a_row};
use super::guard::{Guarded, InHand};
use super::infer::InferExec;
use super::inference_plan::InferencePlan;
use super::lanes::Lanes;
use super::metrics::{Chosen, InferMetrics, Observed, RowRecord};
use super::predictions::FunctionColumn;
use super::query_cancellation::QueryCancellation;
use super::running::Running;
use super::side_by_side::Decoders;
use super::worker_memory::{Reservation, WorkerMemory};
use crate::clock::Clock;
use crate::config::{InferenceOptions, OnError};
use crate::exec::exchange::{Growing, InferExchangeExec, Morsel};
use crate::failures::{QueryFailures, SkippedRow, Stage};
use crate::images::functions::DecodedRows;
use crate::model::input::Assignment;
use crate::model::runtime::Cancellation;
use crate::resume::hashes;

/// Cancels a partition's running work when dropped.
#[derive(Debug)]
struct StopOnDrop(Cancellation);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The calls on one image, or those without an image.
#[derive(Debug)]
struct Group {
    image: Option<Arc<dyn PhysicalExpr>>,
    /// The calls' other inputs.
    numbers: Vec<Arc<dyn PhysicalExpr>>,
    plan: InferencePlan,
    /// Positions of the calls' columns, in the order of the plan.
    columns: Vec<usize>,
    /// Functions that decode the image, where no model does.
    functions: Vec<FunctionColumn>,
}

/// Everything that one partition's work needs, on any thread.
#[derive(Debug)]
pub(crate) struct Worker {
    schema: SchemaRef,
    groups: Vec<Group>,
    /// Those that decode an image for themselves.
    functions: Vec<FunctionColumn>,
    row: Option<Arc<dyn PhysicalExpr>>,
    /// Positions of the key's columns, if rows that are left out are to be told of.
    key: Option<Vec<usize>>,
    /// What becomes of rows that fail is as the query was planned.
    options: InferenceOptions,
    failures: QueryFailures,
    undecoded: Arc<Undecoded>,
    undecoded_below: Option<Arc<Undecoded>>,
    guarded: Option<Guarded>,
    metrics: InferMetrics,
    reservation: Reservation,
    memory: Arc<WorkerMemory<Vec<BatchBuffers>>>,
    cancellation: Cancellation,
    adaptation: Arc<Adaptation>,
    /// The rows of the morsels to come, if they may become more.
    morsel_rows: Option<Growing>,
    decoders: Option<Arc<Decoders>>,
    /// Those of `decoders`, once they are needed.
    decode_threads: OnceLock<Arc<ThreadPool>>,
    /// The partition's, below that of the query.
    span: Span,
    /// What single rows are like, if anybody asks.
    record: Option<RowRecord>,
}

impl Worker {
    pub(crate) fn try_new(
        node: &InferExec,
        metrics: InferMetrics,
        span: Span,
        context: &TaskContext,
    ) -> Result<Self> {
        let (groups, functions) = groups(node, &metrics)?;
        let options = InferenceOptions::of(context.session_config().options());
        node.memory.join();
        Ok(Self {
            schema: node.schema(),
            groups,
            functions,
            row: node.row.clone(),
            key: node.key().map(<[usize]>::to_vec),
            options: InferenceOptions { on_error: node.on_error, ..options },
            failures: node.failures.clone(),
            undecoded: Arc::clone(&node.undecoded),
            undecoded_below: node.undecoded_below.clone(),
            guarded: Guarded::of(node.guard.as_ref(), node.calls()),
            metrics,
            reservation: Reservation::new("InferExec", context.memory_pool()),
            memory: Arc::clone(&node.memory),
            cancellation: QueryCancellation::part(context.session_config().options()),
            adaptation: Arc::clone(&node.adaptation),
            morsel_rows: node.input.downcast_ref().map(InferExchangeExec::growing).cloned(),
            decoders: node.decoders.clone(),
            decode_threads: OnceLock::new(),
            span,
            record: RowRecord::of(context.session_config().options()),
        })
    }

    /// Runs the whole partition on one thread, batch by batch.
    ///
    /// The thread itself waits for its input instead of being woken for each batch: a thread that computes all the time
    /// keeps its core, while a woken one is sometimes scheduled on a busy core while another core idles.
    pub(crate) fn run_alone(
        self,
        input: SendableRecordBatchStream,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let start = move || {
            let stop = StopOnDrop(self.cancellation.clone());
            let (sender, inferred) = mpsc::channel(1);
            let thread = SpawnedTask::spawn_blocking(move || {
                let running = Running::begin(&self.cancellation);
                self.span.in_scope(|| self.infer_all(input, &sender));
                drop(self);
                drop(running);
            });
            (inferred, Some(thread), stop)
        };
        let batches = stream::once(async move { start() }).flat_map(|running| {
            stream::try_unfold(running, |(mut inferred, mut thread, stop)| async move {
                match inferred.recv().await {
                    Some(batch) => Ok(Some((batch?, (inferred, thread, stop)))),
                    None => end_of(thread.take()).await.map(|()| None),
                }
            })
        });
        batches.boxed()
    }

    /// Runs several morsels at once, each on its own thread, and emits them in order.
    pub(crate) fn run_in_flight(
        self,
        morsels: impl Stream<Item = Result<Morsel>> + Send + 'static,
        in_flight: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let stop = StopOnDrop(self.cancellation.clone());
        let worker = Arc::new(self);
        let start = async move {
            let lanes = Lanes::new(in_flight, &worker.metrics);
            let free = lanes.clone();
            let batches = morsels.map(move |morsel| {
                let _running = &stop;
                let (worker, lane) = (Arc::clone(&worker), lanes.take());
                async move {
                    let batch = morsel?.batch;
                    let work = SpawnedTask::spawn_blocking(move || {
                        let running = Running::begin(&worker.cancellation);
                        let clock = &lane.clock;
                        let inferred = worker.span.in_scope(|| worker.infer_blocking(&batch, clock));
                        clock.turn_to(&worker.metrics.output_wait_time);
                        drop(worker);
                        drop(running);
                        inferred.map(|batch| (batch, lane))
                    });
                    work.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
                }
            });
            batches.buffered(in_flight).map_ok(move |(batch, lane)| {
                free.give_back(lane);
                batch
            })
        };
        stream::once(start).flatten().boxed()
    }

    /// Infers batch by batch until the input ends or fails, the receiver is dropped, or inference is cancelled.
    fn infer_all(&self, mut input: SendableRecordBatchStream, sender: &mpsc::Sender<Result<RecordBatch>>) {
        let runtime = Handle::current();
        let mut next = || {
            let cancelled = Arc::new(Notify::new());
            let wake = Arc::clone(&cancelled);
            let _registered = match self.cancellation.register(move || wake.notify_one()) {
                Ok(registered) => registered,
                Err(cancelled) => return Some(Err(cancelled)),
            };
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = sender.closed() => None,
                    () = cancelled.notified() => self.cancellation.check().err().map(Err),
                    batch = input.next() => batch,
                }
            })
        };
        loop {
            let (_lap, clock) =
                (Clock::start(&self.metrics.worker_time), Clock::start(&self.metrics.input_wait_time));
            let Some(batch) = next() else { return };
            let inferred = batch.and_then(|batch| self.infer_blocking(&batch, &clock));
            let failed = inferred.is_err();
            let _waiting = clock.during(&self.metrics.output_wait_time);
            if sender.blocking_send(inferred).is_err() || failed {
                return;
            }
        }
    }

    fn infer_blocking(&self, batch: &RecordBatch, clock: &Clock) -> Result<RecordBatch> {
        let Some(guarded) = &self.guarded else { return self.infer_rows(batch, None, clock) };
        // A process that dies of a model that it loads has no image in hand.
        let models = self.groups.iter().flat_map(|group| group.plan.models());
        models.map(|plan| &plan.model).try_for_each(|model| model.load_first())?;
        let (names, check) = (self.row_names(batch)?, || self.cancellation.check());
        let mut parts = guarded.in_parts(batch, names.as_ref(), &check, |rows, in_hand| {
            self.infer_rows(rows, Some(in_hand), clock)
        })?;
        match (parts.pop(), parts.is_empty()) {
            (Some(all), true) => Ok(all),
            (last, _) => Ok(concat_batches(&self.schema, parts.iter().chain(&last))?),
        }
    }

    fn infer_rows(
        &self,
        batch: &RecordBatch,
        in_hand: Option<&InHand<'_>>,
        clock: &Clock,
    ) -> Result<RecordBatch> {
        let _timer = self.metrics.baseline.elapsed_compute().timer();
        let _preparing = clock.during(&self.metrics.argument_time);
        let name = |row| self.row_name(batch, row);
        let known_as = |row| self.known_as(batch, row);
        let (mut columns, mut failures) = (vec![], BatchFailures::default());
        let has_images = self.groups.iter().any(|group| group.image.is_some());
        let record = self.record.as_ref().filter(|_| has_images);
        let chosen =
            record.map(|record| record.choose(batch.num_rows(), name)).transpose()?.unwrap_or_default();
        let names = self.row_names(batch)?;
        for (row, reason, image) in in_hand.into_iter().flat_map(InHand::convicted) {
            failures.add_crash(row, reason);
            failures.add_known(image.filter(|image| self.has_failed_below(image)).map(|_| row));
            image.into_iter().for_each(|image| self.undecoded.add(image));
        }
        let touched = in_hand.map(|in_hand| in_hand.without_convicted(batch)).transpose()?.flatten();
        let touched = touched.as_ref().unwrap_or(batch);
        for function in &self.functions {
            columns.push((function.position, function.evaluate(touched, names.as_ref(), None)?));
        }
        for (key, group) in self.groups.iter().enumerate() {
            let decoded = DecodedRows::default();
            for function in &group.functions {
                columns
                    .push((function.position, function.evaluate(touched, names.as_ref(), Some(&decoded))?));
            }
            let group = (key, group, in_hand);
            let predictions =
                self.infer_group(group, touched, decoded.take(), &chosen, clock, &mut failures)?;
            let (_, group, _) = group;
            let _postprocessing = clock.during(&self.metrics.postprocess_time);
            for (column, predictions) in group.columns.iter().zip(predictions) {
                if let Some(record) = &self.record {
                    let Predictions { model, column, failures, .. } = &predictions;
                    record.show_found(&chosen, model, column)?;
                    for (row, failure) in failures {
                        record.add_error(&failure.reason, || known_as(*row))?;
                        let chosen = chosen.iter().find(|chosen| chosen.row == *row);
                        chosen.into_iter().for_each(|chosen| record.show_error(chosen, &failure.reason));
                    }
                }
                let predictions = failures.accept(predictions, self.options.on_error, &self.metrics, name)?;
                columns.push((*column, predictions));
            }
        }
        failures.report(batch.num_rows(), &self.failures, &self.options, name)?;
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

    fn infer_group(
        &self,
        (key, group, in_hand): (usize, &Group, Option<&InHand<'_>>),
        batch: &RecordBatch,
        decoded: BTreeMap<usize, Option<String>>,
        chosen: &[Chosen],
        clock: &Clock,
        failures: &mut BatchFailures,
    ) -> Result<Vec<Predictions>> {
        let rows = batch.num_rows();
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(rows);
        let images = group.image.as_ref().map(evaluate).transpose()?;
        let images = images.as_ref().map(ImageArray::try_new).transpose()?;
        let numbers = group.numbers.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let inputs = Inputs { rows, images, numbers: &numbers, decoded };
        let observed = self.record.as_ref().map(|record| Observed::new(record, chosen));
        let models = group.plan.models().iter().map(|plan| &plan.model);
        let batches = self.adaptation.next(key, models, rows)?;
        let context = Context {
            bounds: self.options.bounds,
            metrics: &self.metrics,
            reservation: &self.reservation,
            memory: &self.memory,
            cancellation: &self.cancellation,
            batches,
            observed: observed.as_ref(),
            in_hand,
            decoders: self.decode_threads()?,
        };
        let Inferred { predictions, runs } = decode_infer(&inputs, &group.plan, key, &context, clock)?;
        let wanted = self.adaptation.add(key, &context.batches, rows, &runs);
        self.morsel_rows.iter().zip(wanted).for_each(|(morsels, rows)| morsels.grow(rows));
        if let Some(images) = &inputs.images {
            failures.add_known(self.undecoded_below(images, &predictions));
        }
        if let (Some(record), Some(observed), Some(images)) = (&self.record, observed, &inputs.images) {
            for (row, time) in observed.into_times() {
                record.add_image(time, || Ok((self.known_as(batch, row)?, images.get(row))))?;
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

    /// What messages call a row.
    fn known_as(&self, batch: &RecordBatch, row: usize) -> Result<String> {
        Ok(or_a_row(self.row_name(batch, row)?))
    }

    fn row_name(&self, batch: &RecordBatch, row: usize) -> Result<Option<String>> {
        let names = self.row_names(batch)?;
        Ok(names.map(|names| array_value_to_string(&names, row)).transpose()?)
    }

    fn row_names(&self, batch: &RecordBatch) -> Result<Option<ArrayRef>> {
        let row = self.row.as_ref();
        row.map(|row| row.evaluate(batch)?.into_array(batch.num_rows())).transpose()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.memory.leave();
    }
}

/// Groups the calls by image; also the functions that are in no group.
fn groups(node: &InferExec, metrics: &InferMetrics) -> Result<(Vec<Group>, Vec<FunctionColumn>)> {
    let schema = node.input.schema();
    let mut groups: Vec<Group> = vec![];
    let calls = node.calls().iter().enumerate();
    let (functions, calls): (Vec<_>, Vec<_>) =
        calls.partition(|(_, call)| call.request == Request::ImageFunction);
    // Those of image_error read what the others give.
    let calls = calls.into_iter();
    for (column, call) in calls.sorted_by_key(|(_, call)| call.request == Request::ImageError) {
        let types = call.inputs.iter().map(|input| input.data_type(&schema)).collect::<Result<Vec<_>>>()?;
        let Assignment { image, numbers } = call.predictor.assign(call.request, &types)?;
        let image = image.map(|position| Arc::clone(&call.inputs[position]));
        let known = groups.iter().position(|group| group.image == image).unwrap_or_else(|| {
            let plan = InferencePlan::default();
            groups.push(Group { image, numbers: vec![], plan, columns: vec![], functions: vec![] });
            groups.len() - 1
        });
        let group = &mut groups[known];
        let numbers: Vec<Vec<usize>> = numbers
            .into_iter()
            .map(|positions| call.inputs[positions].iter().map(|input| group.position(input)).collect())
            .collect();
        group.plan.add(call.request, &call.predictor, &numbers, call.field.data_type(), metrics);
        group.columns.push(column);
    }
    let mut others = vec![];
    for (position, call) in functions {
        let column = call.inputs.iter().map(|expr| FunctionColumn::new(position, expr));
        for column in column {
            let decodes =
                |group: &&mut Group| group.plan.models().is_empty() && group.image.as_ref() == column.image();
            match groups.iter_mut().find(decodes) {
                Some(group) if column.image().is_some() => group.functions.push(column),
                _ => others.push(column),
            }
        }
    }
    Ok((groups, others))
}

impl Group {
    /// The position of a column of numbers, which is added if it is new.
    fn position(&mut self, column: &Arc<dyn PhysicalExpr>) -> usize {
        self.numbers.iter().position(|known| known.eq(column)).unwrap_or_else(|| {
            self.numbers.push(Arc::clone(column));
            self.numbers.len() - 1
        })
    }
}

/// Checks whether a worker's output ended because its thread panicked.
async fn end_of(thread: Option<SpawnedTask<()>>) -> Result<()> {
    match thread {
        Some(thread) => thread.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))),
        None => Ok(()),
    }
}
