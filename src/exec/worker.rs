//! The work of one partition of inference, on threads that may block.
//!
//! ```text
//!  batch ─► image expressions ─► decode_infer ─► batch + one column per call
//! ```
//!
//! Tokio's workers only forward batches. When the partition's stream is dropped, its work stops before the next image.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use rayon::ThreadPool;
use seequel_udfs::ImageArray;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tracing::Span;

use super::adapt::Adaptation;
use super::batcher::BatchBuffers;
use super::context::Context;
use super::decode_infer::{Inputs, decode_infer};
use super::failures::Predictions;
use super::infer::InferExec;
use super::inference_plan::InferencePlan;
use super::metrics::{InferMetrics, RowRecord};
use super::query_cancellation::QueryCancellation;
use super::running::Running;
use super::side_by_side::Decoders;
use super::worker_memory::WorkerMemory;
use crate::config::InferenceOptions;
use crate::exec::exchange::{Growing, InferExchangeExec, Morsel};
use crate::model::input::Assignment;
use crate::model::runtime::Cancellation;

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
}

/// Everything that one partition's work needs, on any thread.
#[derive(Debug)]
pub(crate) struct Worker {
    schema: SchemaRef,
    groups: Vec<Group>,
    row: Option<Arc<dyn PhysicalExpr>>,
    options: InferenceOptions,
    metrics: InferMetrics,
    reservation: MemoryReservation,
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
        let groups = groups(node, &metrics)?;
        node.memory.join();
        Ok(Self {
            schema: node.schema(),
            groups,
            row: node.row.clone(),
            options: InferenceOptions::of(context.session_config().options()),
            metrics,
            reservation: MemoryConsumer::new("InferExec").register(context.memory_pool()),
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
        let batches = morsels.map(move |morsel| {
            let _running = &stop;
            let worker = Arc::clone(&worker);
            async move {
                let batch = morsel?.batch;
                let work = SpawnedTask::spawn_blocking(move || {
                    let running = Running::begin(&worker.cancellation);
                    let timer = worker.metrics.worker_time.timer();
                    let inferred = worker.span.in_scope(|| worker.infer_blocking(&batch));
                    timer.done();
                    drop(worker);
                    drop(running);
                    inferred
                });
                work.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
            }
        });
        batches.buffered(in_flight).boxed()
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
            let _lap = self.metrics.worker_time.timer();
            let timer = self.metrics.input_wait_time.timer();
            let Some(batch) = next() else { return };
            timer.done();
            let inferred = batch.and_then(|batch| self.infer_blocking(&batch));
            let failed = inferred.is_err();
            let _timer = self.metrics.output_wait_time.timer();
            if sender.blocking_send(inferred).is_err() || failed {
                return;
            }
        }
    }

    fn infer_blocking(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let _timer = self.metrics.baseline.elapsed_compute().timer();
        let mut columns = vec![];
        for (key, group) in self.groups.iter().enumerate() {
            let predictions = self.infer_group(key, group, batch)?;
            let _timer = self.metrics.postprocess_time.timer();
            for (column, predictions) in group.columns.iter().zip(predictions) {
                let name = |row| self.row_name(batch, row);
                if let Some(record) = &self.record {
                    let mut failures = predictions.failures.iter();
                    failures.try_for_each(|(row, reason)| record.add_error(reason, || name(*row)))?;
                }
                columns.push((*column, predictions.accept(self.options.on_error, &self.metrics, name)?));
            }
        }
        columns.sort_by_key(|(position, _)| *position);
        let predictions = columns.into_iter().map(|(_, column)| column);
        let columns = batch.columns().iter().cloned().chain(predictions).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn infer_group(&self, key: usize, group: &Group, batch: &RecordBatch) -> Result<Vec<Predictions>> {
        let rows = batch.num_rows();
        let timer = self.metrics.argument_time.timer();
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(rows);
        let images = group.image.as_ref().map(evaluate).transpose()?;
        let images = images.as_ref().map(ImageArray::try_new).transpose()?;
        let numbers = group.numbers.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let inputs = Inputs { rows, images, numbers: &numbers };
        timer.done();
        let decoded = Mutex::new(vec![]);
        let adapted = match group.plan.models() {
            [only] => self.adaptation.next(key, &only.model, rows)?,
            _ => None,
        };
        let context = Context {
            max_image_pixels: self.options.max_image_pixels,
            metrics: &self.metrics,
            reservation: &self.reservation,
            memory: &self.memory,
            cancellation: &self.cancellation,
            batch: adapted,
            decoded: self.record.as_ref().map(|_| &decoded),
            decoders: self.decode_threads()?,
        };
        let start = Instant::now();
        let predictions = decode_infer(&inputs, &group.plan, key, &context)?;
        if let Some(batch) = adapted {
            let wanted = self.adaptation.add(key, batch, rows, start.elapsed());
            self.morsel_rows.iter().zip(wanted).for_each(|(morsels, rows)| morsels.grow(rows));
        }
        if let (Some(record), Some(images)) = (&self.record, &inputs.images) {
            for (row, time) in decoded.into_inner() {
                record.add_image(time, || Ok((self.row_name(batch, row)?, images.get(row))))?;
            }
        }
        Ok(predictions)
    }

    fn decode_threads(&self) -> Result<Option<&ThreadPool>> {
        let Some(decoders) = &self.decoders else { return Ok(None) };
        if let Some(threads) = self.decode_threads.get() {
            return Ok(Some(threads));
        }
        let threads = decoders.start()?;
        Ok(Some(self.decode_threads.get_or_init(|| threads)))
    }

    fn row_name(&self, batch: &RecordBatch, row: usize) -> Result<String> {
        let Some(name) = &self.row else { return Ok("a row".to_owned()) };
        let names = name.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(array_value_to_string(&names, row)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.memory.leave();
    }
}

/// Groups the calls by image.
fn groups(node: &InferExec, metrics: &InferMetrics) -> Result<Vec<Group>> {
    let schema = node.input.schema();
    let mut groups: Vec<Group> = vec![];
    for (column, call) in node.calls().iter().enumerate() {
        let types = call.inputs.iter().map(|input| input.data_type(&schema)).collect::<Result<Vec<_>>>()?;
        let Assignment { image, numbers } = call.predictor.assign(call.request, &types)?;
        let image = image.map(|position| Arc::clone(&call.inputs[position]));
        let known = groups.iter().position(|group| group.image == image).unwrap_or_else(|| {
            groups.push(Group { image, numbers: vec![], plan: InferencePlan::default(), columns: vec![] });
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
    Ok(groups)
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
