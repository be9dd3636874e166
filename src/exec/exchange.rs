//! The exchange below inference: any number of inputs, as many outputs as there are workers.
//!
//! ```text
//!  input 0 ─ feeder ─ cut into morsels ─┐   ┌──────────────┐  ┌─► output 0 ─► InferExec 0
//!                                       ├──►│ queue, bound │──┤
//!  input 1 ─ feeder ─ cut into morsels ─┘   │   in bytes   │  └─► output 1 ─► InferExec 1
//!                                           └──────────────┘   whoever is free takes the next
//! ```
//!
//! DataFusion's `RepartitionExec` deals whole batches round-robin, before anyone knows who will be slow, into channels
//! without an effective bound; and a plan's rows-per-file statistics decide whether it is there at all. Models need the
//! contrary: small pieces, a bound in bytes because a photo may be 20 kB or 20 MB, and the next piece for whoever is
//! done. This node is opaque to DataFusion's distribution rules, which leave it where the planner put it.
//!
//! Rows keep no order across outputs, so it stands only where none is asked for: see `plan/planner.rs`.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, assert_eq_or_internal_err, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, EvaluationType, ReplaceChildrenOptions,
    SchedulingType,
};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PhysicalExpr, PlanProperties, StatisticsArgs,
};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::morsel::{Morsel, morsels};

/// Bytes in the queue, at most, unless a single morsel has more.
const QUEUE_BYTES: usize = 64 << 20;

/// The queue's bound is counted in units of this many bytes, for a semaphore has 32 bits.
const PERMIT_BYTES: usize = 1 << 10;

/// Hands the rows of its input to `partitions` outputs, in morsels of at most `morsel_rows` rows.
#[derive(Debug)]
pub struct InferExchangeExec {
    input: Arc<dyn ExecutionPlan>,
    morsel_rows: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    execution: Mutex<Option<Execution>>,
}

/// One execution of the node, until every output has been asked for; from then on the outputs alone keep it alive.
#[derive(Debug)]
struct Execution {
    queue: Arc<Queue>,
    taken: Vec<bool>,
}

impl InferExchangeExec {
    /// An exchange from however many partitions `input` has to `partitions`.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>, partitions: usize, morsel_rows: usize) -> Self {
        let mut equivalences = input.equivalence_properties().clone();
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        Self::with_properties(input, partitions, morsel_rows, equivalences)
    }

    fn with_properties(
        input: Arc<dyn ExecutionPlan>,
        partitions: usize,
        morsel_rows: usize,
        equivalences: EquivalenceProperties,
    ) -> Self {
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            input.boundedness(),
        )
        .with_evaluation_type(EvaluationType::Eager)
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            input,
            morsel_rows,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            execution: Mutex::new(None),
        }
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// The queue of the current execution. Asking for an output a second time begins another.
    fn queue(&self, partition: usize, context: &Arc<TaskContext>) -> Arc<Queue> {
        let begin = || Execution {
            queue: Arc::new(Queue::new(
                Arc::clone(&self.input),
                self.morsel_rows,
                self.partitions(),
                context,
            )),
            taken: vec![false; self.partitions()],
        };
        let mut current = self.execution.lock();
        let mut execution =
            current.take().filter(|execution| !execution.taken[partition]).unwrap_or_else(begin);
        execution.taken[partition] = true;
        let queue = Arc::clone(&execution.queue);
        if execution.taken.contains(&false) {
            *current = Some(execution);
        }
        queue
    }
}

impl DisplayAs for InferExchangeExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(
                f,
                "InferExchangeExec: partitions={}→{}, morsel_rows={}",
                self.input.output_partitioning().partition_count(),
                self.partitions(),
                self.morsel_rows
            ),
            DisplayFormatType::TreeRender => {
                writeln!(f, "partitions={}", self.partitions())?;
                writeln!(f, "morsel_rows={}", self.morsel_rows)
            }
        }
    }
}

impl ExecutionPlan for InferExchangeExec {
    fn name(&self) -> &'static str {
        "InferExchangeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_eq_or_internal_err!(children.len(), 1, "InferExchangeExec has one input");
        Ok(Arc::new(Self::new(children.swap_remove(0), self.partitions(), self.morsel_rows)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let queue = self.queue(partition, &context);
        // A morsel stays reserved while it is worked on: until the next is asked for.
        let batches = futures::stream::try_unfold((queue, None), |(queue, worked_on)| async move {
            drop(worked_on);
            let next = queue.next().await?;
            Ok(next.map(|Queued { morsel, reservation, .. }| (morsel.batch, (queue, Some(reservation)))))
        });
        let batches = batches.inspect_ok(move |batch: &RecordBatch| {
            batch.record_output(&metrics);
        });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, _partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(match (args.partition(), inputs) {
            (None, [input]) => Arc::clone(input),
            // Which rows an output gets is decided while it runs.
            _ => Arc::new(Statistics::new_unknown(&self.schema())),
        })
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }
}

/// The queue between the feeders and the outputs of one execution.
#[derive(Debug)]
struct Queue {
    feeders: Mutex<Feeders>,
    morsels: async_channel::Receiver<Result<Queued>>,
}

#[derive(Debug)]
enum Feeders {
    /// Nothing has been polled, so nothing runs.
    Waiting { input: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, sender: Sender },
    /// Dropping the set aborts them.
    Running(JoinSet<()>),
}

/// What a feeder needs to pass a morsel on.
#[derive(Debug, Clone)]
struct Sender {
    morsel_rows: usize,
    queue: async_channel::Sender<Result<Queued>>,
    budget: Arc<Semaphore>,
    reservation: Arc<MemoryReservation>,
}

/// A morsel in the queue, with its share of the queue's bytes and of the memory pool.
#[derive(Debug)]
struct Queued {
    morsel: Morsel,
    _permit: OwnedSemaphorePermit,
    reservation: MemoryReservation,
}

impl Queue {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        morsel_rows: usize,
        outputs: usize,
        context: &Arc<TaskContext>,
    ) -> Self {
        let (sender, morsels) = async_channel::bounded(outputs * 2);
        let consumer = MemoryConsumer::new("InferExchangeExec");
        let sender = Sender {
            morsel_rows,
            queue: sender,
            budget: Arc::new(Semaphore::new(QUEUE_BYTES / PERMIT_BYTES)),
            reservation: Arc::new(consumer.register(context.memory_pool())),
        };
        Self {
            feeders: Mutex::new(Feeders::Waiting { input, context: Arc::clone(context), sender }),
            morsels,
        }
    }

    async fn next(&self) -> Result<Option<Queued>> {
        self.start()?;
        match self.morsels.recv().await {
            Ok(queued) => queued.map(Some),
            Err(async_channel::RecvError) => self.end().await.map(|()| None),
        }
    }

    /// Starts the feeders, on the first call. If an input can't be executed, the queue stays closed.
    fn start(&self) -> Result<()> {
        let mut feeders = self.feeders.lock();
        if let Feeders::Running(_) = &*feeders {
            return Ok(());
        }
        let waiting = std::mem::replace(&mut *feeders, Feeders::Running(JoinSet::new()));
        let (Feeders::Waiting { input, context, sender }, Feeders::Running(tasks)) = (waiting, &mut *feeders)
        else {
            return Ok(());
        };
        for partition in 0..input.output_partitioning().partition_count() {
            let stream = input.execute(partition, Arc::clone(&context))?;
            let sender = sender.clone();
            tasks.spawn(async move { sender.feed(stream).await });
        }
        Ok(())
    }

    /// The end of the queue is the end of the input, unless a feeder panicked. The first output to get here looks.
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

impl Sender {
    /// Sends morsel after morsel until the input ends, fails, or nobody listens.
    async fn feed(&self, input: SendableRecordBatchStream) {
        let mut morsels = std::pin::pin!(morsels(input, self.morsel_rows));
        while let Some(morsel) = morsels.next().await {
            let queued = match morsel {
                Ok(morsel) => self.admit(morsel).await,
                Err(error) => Err(error),
            };
            let failed = queued.is_err();
            if self.queue.send(queued).await.is_err() || failed {
                return;
            }
        }
    }

    /// Waits until the queue has room for `morsel`'s bytes, and the memory pool too.
    ///
    /// If the pool has none even when the queue is empty, one morsel passes without: its bytes are there already, and
    /// the workers it waits for may be what fills the pool.
    async fn admit(&self, morsel: Morsel) -> Result<Queued> {
        let all = QUEUE_BYTES / PERMIT_BYTES;
        let permit = self.acquire((morsel.bytes / PERMIT_BYTES + 1).min(all)).await?;
        let reservation = self.reservation.new_empty();
        if reservation.try_grow(morsel.bytes).is_ok() {
            return Ok(Queued { morsel, _permit: permit, reservation });
        }
        drop(permit);
        let permit = self.acquire(all).await?;
        if let Err(refused) = reservation.try_grow(morsel.bytes) {
            tracing::debug!("a morsel of {} bytes passes without a reservation: {refused}", morsel.bytes);
        }
        Ok(Queued { morsel, _permit: permit, reservation })
    }

    async fn acquire(&self, permits: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        match Arc::clone(&self.budget).acquire_many_owned(permits).await {
            Ok(permit) => Ok(permit),
            Err(closed) => exec_err!("the exchange's queue: {closed}"),
        }
    }
}
