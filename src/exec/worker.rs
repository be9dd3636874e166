//! The work of one partition of inference, on threads that may block.
//!
//! ```text
//!  input ─► batch ─► parts, if rows are guarded ─► BatchInference ─► batch + one column per call
//! ```
//!
//! Tokio's workers only forward batches. When the partition's stream is dropped, its work stops before the next image.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tracing::Span;

use super::batch_inference::BatchInference;
use super::decode_infer::{Guarded, Reservation};
use super::group::groups;
use super::infer::InferExec;
use super::lanes::Lanes;
use super::metrics::{InferMetrics, RowRecord};
use super::query_cancellation::QueryCancellation;
use super::running::Running;
use crate::clock::Clock;
use crate::config::InferenceOptions;
use crate::exec::exchange::{InferExchangeExec, Morsel};
use crate::model::runtime::Cancellation;

/// Cancels a partition's running work when dropped.
#[derive(Debug)]
struct StopOnDrop(Cancellation);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Everything that one partition's work needs, on any thread.
#[derive(Debug)]
pub(super) struct Worker {
    inference: BatchInference,
    guarded: Option<Guarded>,
    /// The partition's, below that of the query.
    span: Span,
}

impl Worker {
    pub(super) fn try_new(
        node: &InferExec,
        metrics: InferMetrics,
        span: Span,
        context: &TaskContext,
    ) -> Result<Self> {
        let (groups, functions) = groups(node.calls(), &node.input.schema(), &metrics)?;
        let options = InferenceOptions::of(context.session_config().options());
        node.memory.join();
        let inference = BatchInference {
            schema: node.schema(),
            groups,
            functions,
            row: node.row.clone(),
            key: node.key().map(<[usize]>::to_vec),
            options: InferenceOptions { on_error: node.on_error, ..options },
            failures: node.failures.clone(),
            undecoded: Arc::clone(&node.undecoded),
            undecoded_below: node.undecoded_below.clone(),
            metrics,
            reservation: Reservation::new("InferExec", context.memory_pool()),
            memory: Arc::clone(&node.memory),
            cancellation: QueryCancellation::part(context.session_config().options()),
            adaptation: Arc::clone(&node.adaptation),
            morsel_rows: node.input.downcast_ref().map(InferExchangeExec::growing).cloned(),
            decoders: node.decoders.clone(),
            decode_threads: OnceLock::new(),
            record: RowRecord::of(context.session_config().options()),
        };
        Ok(Self { inference, guarded: Guarded::of(node.guard.as_ref(), node.calls()), span })
    }

    /// Runs the whole partition on one thread, batch by batch.
    ///
    /// The thread itself waits for its input instead of being woken for each batch: a thread that computes all the time
    /// keeps its core, while a woken one is sometimes scheduled on a busy core while another core idles.
    pub(super) fn run_alone(
        self,
        input: SendableRecordBatchStream,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let start = move || {
            let stop = StopOnDrop(self.inference.cancellation.clone());
            let (sender, inferred) = mpsc::channel(1);
            let thread = SpawnedTask::spawn_blocking(move || {
                let running = Running::begin(&self.inference.cancellation);
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
    pub(super) fn run_in_flight(
        self,
        morsels: impl Stream<Item = Result<Morsel>> + Send + 'static,
        in_flight: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let stop = StopOnDrop(self.inference.cancellation.clone());
        let worker = Arc::new(self);
        let start = async move {
            let lanes = Lanes::new(in_flight, &worker.inference.metrics);
            let free = lanes.clone();
            let batches = morsels.map(move |morsel| {
                let _running = &stop;
                let (worker, lane) = (Arc::clone(&worker), lanes.take());
                async move {
                    let batch = morsel?.batch;
                    let work = SpawnedTask::spawn_blocking(move || {
                        let running = Running::begin(&worker.inference.cancellation);
                        let clock = &lane.clock;
                        let inferred = worker.span.in_scope(|| worker.infer_blocking(&batch, clock));
                        clock.turn_to(&worker.inference.metrics.output_wait_time);
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
            let _registered = match self.inference.cancellation.register(move || wake.notify_one()) {
                Ok(registered) => registered,
                Err(cancelled) => return Some(Err(cancelled)),
            };
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = sender.closed() => None,
                    () = cancelled.notified() => self.inference.cancellation.check().err().map(Err),
                    batch = input.next() => batch,
                }
            })
        };
        loop {
            let (_lap, clock) = (
                Clock::start(&self.inference.metrics.worker_time),
                Clock::start(&self.inference.metrics.input_wait_time),
            );
            let Some(batch) = next() else { return };
            let inferred = batch.and_then(|batch| self.infer_blocking(&batch, &clock));
            let failed = inferred.is_err();
            clock.turn_to(&self.inference.metrics.output_wait_time);
            if sender.blocking_send(inferred).is_err() || failed {
                return;
            }
        }
    }

    fn infer_blocking(&self, batch: &RecordBatch, clock: &Clock) -> Result<RecordBatch> {
        let inference = &self.inference;
        let Some(guarded) = &self.guarded else { return inference.infer(batch, None, clock) };
        // A process that dies of a model that it loads has no image in hand.
        inference.load_models()?;
        let (names, check) = (inference.names(batch)?, || inference.cancellation.check());
        let mut parts = guarded.in_parts(batch, names.as_ref(), &check, |rows, in_hand| {
            inference.infer(rows, Some(in_hand), clock)
        })?;
        match (parts.pop(), parts.is_empty()) {
            (Some(all), true) => Ok(all),
            (last, _) => Ok(concat_batches(inference.schema(), parts.iter().chain(&last))?),
        }
    }
}

/// Checks whether a worker's output ended because its thread panicked.
async fn end_of(thread: Option<SpawnedTask<()>>) -> Result<()> {
    match thread {
        Some(thread) => thread.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))),
        None => Ok(()),
    }
}
