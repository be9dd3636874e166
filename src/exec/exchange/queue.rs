//! The queue between the inputs of an exchange and its outputs: feeders, a bound in bytes, and a channel.
//!
//! Once the inputs have ended and few morsels are left, an output takes half a morsel and leaves the other half to the
//! next free output, so that outputs end at about the same time even if one is slow or a row takes long.

use std::sync::Arc;

use datafusion::common::exec_err;
use datafusion::common::runtime::JoinSet;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, Span};

use super::morsel::{Growing, Morsel, morsels};
use crate::clock::Clock;
use crate::memory_limit::waiting_bytes;

/// Maximum bytes in the queue, unless a single morsel has more.
const QUEUE_BYTES: usize = 64 << 20;

/// Bytes per permit of the queue's bound, because semaphore permits are counted in 32 bits.
const PERMIT_BYTES: usize = 1 << 10;

/// The queue between the feeders and the outputs of one execution.
#[derive(Debug)]
pub(crate) struct Queue {
    feeders: Mutex<Feeders>,
    morsels: async_channel::Receiver<Result<Queued>>,
    /// Halves of morsels that were split at the end.
    halves: Mutex<Vec<Queued>>,
    outputs: usize,
    /// Minimum rows of a split morsel.
    least_rows: usize,
}

#[derive(Debug)]
enum Feeders {
    /// Nothing has been polled yet, so no feeder runs.
    Waiting { input: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, sender: Sender, span: Span },
    /// Dropping the set aborts the feeders.
    Running(JoinSet<()>),
}

/// What a feeder needs to send morsels.
#[derive(Debug, Clone)]
struct Sender {
    morsel_rows: Growing,
    queue: async_channel::Sender<Result<Queued>>,
    /// Those of an empty queue.
    permits: usize,
    budget: Arc<Semaphore>,
    reservation: Arc<MemoryReservation>,
    metrics: QueueMetrics,
}

/// Metrics of the feeders, all together.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    /// Bytes of the rows that were queued.
    queued_bytes: Count,
    /// Feeders wait for the next rows of their input.
    feed_wait_time: Time,
    /// Feeders wait until the queue and the memory pool have room.
    room_wait_time: Time,
}

impl QueueMetrics {
    pub(crate) fn new(set: &ExecutionPlanMetricsSet) -> Self {
        let time = |name: &'static str| MetricBuilder::new(set).subset_time(name, 0);
        Self {
            queued_bytes: MetricBuilder::new(set).global_counter("queued_bytes"),
            feed_wait_time: time("feed_wait_time"),
            room_wait_time: time("room_wait_time"),
        }
    }
}

/// A morsel in the queue, with its share of the queue's bytes and of the memory pool.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) morsel: Morsel,
    permit: OwnedSemaphorePermit,
    pub(crate) reservation: MemoryReservation,
}

impl Queue {
    /// With at most `ahead` morsels for each output.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        rows: Growing,
        least_rows: usize,
        (outputs, ahead): (usize, usize),
        context: &Arc<TaskContext>,
        metrics: QueueMetrics,
    ) -> Self {
        let (sender, morsels) = async_channel::bounded(outputs * ahead);
        let consumer = MemoryConsumer::new("InferExchangeExec");
        let pool = context.memory_pool();
        let permits = (waiting_bytes(QUEUE_BYTES, pool.as_ref()) / PERMIT_BYTES).max(1);
        let sender = Sender {
            morsel_rows: rows,
            queue: sender,
            permits,
            budget: Arc::new(Semaphore::new(permits)),
            reservation: Arc::new(consumer.register(pool)),
            metrics,
        };
        Self {
            feeders: Mutex::new(Feeders::Waiting {
                input,
                context: Arc::clone(context),
                sender,
                // That of the query, rather than of the worker that asks first.
                span: Span::current(),
            }),
            morsels,
            halves: Mutex::default(),
            outputs,
            least_rows,
        }
    }

    /// The next morsel, which goes to the first output to ask for it; `None` at the end of all inputs.
    ///
    /// # Errors
    /// Those of the inputs.
    pub(crate) async fn next(&self) -> Result<Option<Queued>> {
        self.start()?;
        if let Some(half) = self.next_half() {
            return Ok(Some(half));
        }
        if let Ok(queued) = self.morsels.recv().await {
            return Ok(Some(self.split(queued?)));
        }
        // Another output may have split the last morsel meanwhile.
        let half = self.next_half();
        if half.is_none() {
            self.end().await?;
        }
        Ok(half)
    }

    fn next_half(&self) -> Option<Queued> {
        let half = self.halves.lock().pop()?;
        Some(self.split(half))
    }

    /// The morsels in the queue.
    pub(super) fn len(&self) -> usize {
        self.morsels.len()
    }

    /// `queued`, or the first half of it if this is one of the last.
    fn split(&self, mut queued: Queued) -> Queued {
        let is_last = self.morsels.is_closed() && self.morsels.len() < self.outputs;
        if is_last && let Some(half) = queued.split_off(self.least_rows) {
            self.halves.lock().push(half);
        }
        queued
    }

    /// Starts the feeders, on the first call. If an input can't be executed, the queue stays closed.
    fn start(&self) -> Result<()> {
        let mut feeders = self.feeders.lock();
        if let Feeders::Running(_) = &*feeders {
            return Ok(());
        }
        let waiting = std::mem::replace(&mut *feeders, Feeders::Running(JoinSet::new()));
        let (Feeders::Waiting { input, context, sender, span }, Feeders::Running(tasks)) =
            (waiting, &mut *feeders)
        else {
            return Ok(());
        };
        let _span = span.enter();
        for partition in 0..input.output_partitioning().partition_count() {
            let stream = input.execute(partition, Arc::clone(&context))?;
            let sender = sender.clone();
            tasks.spawn(async move { sender.feed(stream).await }.in_current_span());
        }
        Ok(())
    }

    /// Checks whether the queue ended because a feeder panicked. Only the first call checks.
    async fn end(&self) -> Result<()> {
        let mut tasks = match &mut *self.feeders.lock() {
            Feeders::Waiting { .. } => return Ok(()),
            Feeders::Running(tasks) => std::mem::take(tasks),
        };
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
        }
        Ok(())
    }
}

impl Queued {
    /// Splits off the second half, unless too few rows would be left.
    fn split_off(&mut self, least_rows: usize) -> Option<Self> {
        let permit = self.permit.split(self.permit.num_permits() / 2)?;
        let morsel = self.morsel.split_off(least_rows)?;
        let reservation = self.reservation.split(morsel.bytes.min(self.reservation.size()));
        Some(Self { morsel, permit, reservation })
    }
}

impl Sender {
    /// Sends morsels until the input ends or fails, or the receivers are dropped.
    async fn feed(&self, input: SendableRecordBatchStream) {
        let mut morsels = std::pin::pin!(morsels(input, self.morsel_rows.clone()));
        let clock = Clock::start(&self.metrics.feed_wait_time);
        while let Some(morsel) = morsels.next().await {
            clock.turn_to(&self.metrics.room_wait_time);
            let queued = match morsel {
                Ok(morsel) => {
                    self.metrics.queued_bytes.add(morsel.bytes);
                    self.admit(morsel).await
                }
                Err(error) => Err(error),
            };
            let failed = queued.is_err();
            if self.queue.send(queued).await.is_err() || failed {
                return;
            }
            clock.turn_to(&self.metrics.feed_wait_time);
        }
    }

    /// Waits until the queue has room for `morsel`'s bytes, and the memory pool too.
    ///
    /// If the pool has none even when the queue is empty, one morsel passes without a reservation: its bytes are
    /// already allocated, and the pool may be filled by the very workers it waits for.
    async fn admit(&self, morsel: Morsel) -> Result<Queued> {
        let permit = self.acquire((morsel.bytes / PERMIT_BYTES + 1).min(self.permits)).await?;
        let reservation = self.reservation.new_empty();
        if reservation.try_grow(morsel.bytes).is_ok() {
            return Ok(Queued { morsel, permit, reservation });
        }
        drop(permit);
        let permit = self.acquire(self.permits).await?;
        if let Err(refused) = reservation.try_grow(morsel.bytes) {
            tracing::debug!("a morsel of {} bytes passes without a reservation: {refused}", morsel.bytes);
        }
        Ok(Queued { morsel, permit, reservation })
    }

    async fn acquire(&self, permits: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        match Arc::clone(&self.budget).acquire_many_owned(permits).await {
            Ok(permit) => Ok(permit),
            Err(closed) => exec_err!("the exchange's queue: {closed}"),
        }
    }
}
