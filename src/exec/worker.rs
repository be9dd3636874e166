//! The work of one partition of inference, on threads that may block.
//!
//! ```text
//!  batch ─► image expressions ─► decode_infer ─► batch + one column a call
//! ```
//!
//! Tokio's workers only pass batches on. When the partition's stream is dropped, its work stops before the next image.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::exec_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use seequel_udfs::ImageArray;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::decode_infer::{Cancellation, Context, decode_infer};
use super::infer::{InferExec, PhysicalCall};
use super::lane::Answers;
use super::metrics::InferMetrics;
use super::morsel::Morsel;
use super::worker_memory::WorkerMemory;
use crate::config::{InferenceOptions, OnError};
use crate::models::Model;

/// Raises the flag that stops a partition's running work.
#[derive(Debug)]
struct StopOnDrop(Cancellation);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What one partition's work needs, on whatever thread it runs.
#[derive(Debug)]
pub(super) struct Worker {
    schema: SchemaRef,
    calls: Vec<PhysicalCall>,
    row: Option<Arc<dyn PhysicalExpr>>,
    options: InferenceOptions,
    metrics: InferMetrics,
    reservation: MemoryReservation,
    memory: Arc<WorkerMemory>,
    cancellation: Cancellation,
}

impl Worker {
    pub(super) fn new(node: &InferExec, metrics: InferMetrics, context: &TaskContext) -> Self {
        Self {
            schema: node.schema(),
            calls: node.calls.clone(),
            row: node.row.clone(),
            options: InferenceOptions::of(context.session_config().options()),
            metrics,
            reservation: MemoryConsumer::new("InferExec").register(context.memory_pool()),
            memory: Arc::clone(&node.memory),
            cancellation: Cancellation::default(),
        }
    }

    /// One thread for the whole partition, which takes batch after batch as it comes.
    ///
    /// It waits for its input itself, rather than being woken for each batch: a thread that computes all the time keeps
    /// its core, while one that is woken lands on a busy core now and then, and the other core idles.
    pub(super) fn run_alone(
        self,
        input: SendableRecordBatchStream,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let start = move || {
            let stop = StopOnDrop(self.cancellation.clone());
            let (sender, answered) = mpsc::channel(1);
            let thread = SpawnedTask::spawn_blocking(move || self.infer_all(input, &sender));
            (answered, Some(thread), stop)
        };
        let batches = stream::once(async move { start() }).flat_map(|running| {
            stream::try_unfold(running, |(mut answered, mut thread, stop)| async move {
                match answered.recv().await {
                    Some(batch) => Ok(Some((batch?, (answered, thread, stop)))),
                    None => end_of(thread.take()).await.map(|()| None),
                }
            })
        });
        batches.boxed()
    }

    /// Several morsels at once, each on a thread of its own, handed on in their order.
    pub(super) fn run_in_flight(
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
                let work = SpawnedTask::spawn_blocking(move || worker.infer_blocking(&batch));
                work.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
            }
        });
        batches.buffered(in_flight).boxed()
    }

    /// Infers batch after batch until the input ends, fails, or nobody listens.
    fn infer_all(&self, mut input: SendableRecordBatchStream, sender: &mpsc::Sender<Result<RecordBatch>>) {
        let runtime = Handle::current();
        let mut next = || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = sender.closed() => None,
                    batch = input.next() => batch,
                }
            })
        };
        while let Some(batch) = next() {
            let answered = batch.and_then(|batch| self.infer_blocking(&batch));
            let failed = answered.is_err();
            if sender.blocking_send(answered).is_err() || failed {
                return;
            }
        }
    }

    fn infer_blocking(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let _timer = self.metrics.baseline.elapsed_compute().timer();
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.calls.len()];
        while let Some(first) = columns.iter().position(Option::is_none) {
            let image = &self.calls[first].image;
            let same: Vec<_> =
                (first..columns.len()).filter(|call| &self.calls[*call].image == image).collect();
            let models: Vec<_> = same.iter().map(|call| Arc::clone(&self.calls[*call].model)).collect();
            for (call, answers) in same.into_iter().zip(self.infer_image(image, &models, batch)?) {
                columns[call] = Some(self.accept(answers, batch)?);
            }
        }
        let columns = batch.columns().iter().cloned().chain(columns.into_iter().flatten()).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn infer_image(
        &self,
        image: &Arc<dyn PhysicalExpr>,
        models: &[Arc<Model>],
        batch: &RecordBatch,
    ) -> Result<Vec<Answers>> {
        let images = image.evaluate(batch)?.into_array(batch.num_rows())?;
        let context = Context {
            max_image_pixels: self.options.max_image_pixels,
            metrics: &self.metrics,
            reservation: &self.reservation,
            memory: &self.memory,
            cancellation: &self.cancellation,
        };
        decode_infer(&ImageArray::try_new(&images)?, batch.num_rows(), models, &context)
    }

    /// The answers' column, unless a row failed and the session wants queries to stop at that.
    fn accept(&self, answers: Answers, batch: &RecordBatch) -> Result<ArrayRef> {
        match (self.options.on_error, answers.first_failure) {
            (OnError::Fail, Some((row, reason))) => {
                exec_err!("{}: {reason} (inference.on_error is 'fail')", self.row_name(batch, row)?)
            }
            (OnError::Null | OnError::Fail, _) => Ok(answers.column),
        }
    }

    fn row_name(&self, batch: &RecordBatch, row: usize) -> Result<String> {
        let Some(name) = &self.row else { return Ok("an image".to_owned()) };
        let names = name.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(array_value_to_string(&names, row)?)
    }
}

/// The end of a worker's answers is that of its input, unless it panicked.
async fn end_of(thread: Option<SpawnedTask<()>>) -> Result<()> {
    match thread {
        Some(thread) => thread.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))),
        None => Ok(()),
    }
}
