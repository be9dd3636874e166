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
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, assert_eq_or_internal_err, exec_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

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
    outputs_taken: usize,
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

    /// The queue of the current execution, made for the first output that is asked for.
    fn queue(&self, context: &Arc<TaskContext>) -> Arc<Queue> {
        let mut execution = self.execution.lock();
        let current = execution.get_or_insert_with(|| Execution {
            queue: Arc::new(Queue::new(
                Arc::clone(&self.input),
                self.morsel_rows,
                self.partitions(),
                context,
            )),
            outputs_taken: 0,
        });
        current.outputs_taken += 1;
        let queue = Arc::clone(&current.queue);
        if current.outputs_taken == self.partitions() {
            *execution = None;
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
        Ok(Arc::new(Self::new(
            children.swap_remove(0),
            self.partitions(),
            self.morsel_rows,
        )))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let queue = self.queue(&context);
        let batches = futures::stream::try_unfold(queue, |queue| async move {
            Ok(queue.next().await?.map(|batch| (batch, queue)))
        });
        let batches = batches.inspect_ok(move |batch: &RecordBatch| {
            batch.record_output(&metrics);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
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

    fn supports_limit_pushdown(&self) -> bool {
        true
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
    inputs: usize,
    /// Feeders that came to their input's end. One that panics does not.
    finished: Arc<AtomicUsize>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Result<Queued>>>,
}

#[derive(Debug)]
enum Feeders {
    /// Nothing has been polled, so nothing runs.
    Waiting {
        input: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        sender: Sender,
    },
    /// Dropping the set aborts them.
    Running { _tasks: JoinSet<()> },
}

/// What a feeder needs to pass a morsel on.
#[derive(Debug, Clone)]
struct Sender {
    morsel_rows: usize,
    queue: mpsc::Sender<Result<Queued>>,
    budget: Arc<Semaphore>,
    reservation: Arc<MemoryReservation>,
}

/// A morsel in the queue, with its share of the queue's bytes and of the memory pool.
#[derive(Debug)]
struct Queued {
    morsel: Morsel,
    _permit: OwnedSemaphorePermit,
    _reservation: MemoryReservation,
}

impl Queue {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        morsel_rows: usize,
        outputs: usize,
        context: &Arc<TaskContext>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(outputs * 2);
        let consumer = MemoryConsumer::new("InferExchangeExec");
        let sender = Sender {
            morsel_rows,
            queue: sender,
            budget: Arc::new(Semaphore::new(QUEUE_BYTES / PERMIT_BYTES)),
            reservation: Arc::new(consumer.register(context.memory_pool())),
        };
        Self {
            inputs: input.output_partitioning().partition_count(),
            feeders: Mutex::new(Feeders::Waiting {
                input,
                context: Arc::clone(context),
                sender,
            }),
            finished: Arc::default(),
            receiver: tokio::sync::Mutex::new(receiver),
        }
    }

    async fn next(&self) -> Result<Option<RecordBatch>> {
        self.start()?;
        match self.receiver.lock().await.recv().await {
            Some(queued) => Ok(Some(queued?.morsel.batch)),
            None if self.finished.load(Acquire) == self.inputs => Ok(None),
            None => internal_err!("a feeder of the exchange ended before its input did"),
        }
    }

    /// Starts the feeders, on the first call.
    fn start(&self) -> Result<()> {
        let mut feeders = self.feeders.lock();
        let Feeders::Waiting {
            input,
            context,
            sender,
        } = &*feeders
        else {
            return Ok(());
        };
        let mut tasks = JoinSet::new();
        for partition in 0..self.inputs {
            let stream = input.execute(partition, Arc::clone(context))?;
            let (sender, finished) = (sender.clone(), Arc::clone(&self.finished));
            tasks.spawn(async move {
                sender.feed(stream).await;
                finished.fetch_add(1, AcqRel);
            });
        }
        *feeders = Feeders::Running { _tasks: tasks };
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
    async fn admit(&self, morsel: Morsel) -> Result<Queued> {
        let all = QUEUE_BYTES / PERMIT_BYTES;
        let permit = self.acquire((morsel.bytes / PERMIT_BYTES + 1).min(all)).await?;
        let reservation = self.reservation.new_empty();
        if reservation.try_grow(morsel.bytes).is_ok() {
            return Ok(Queued {
                morsel,
                _permit: permit,
                _reservation: reservation,
            });
        }
        // The pool is full, perhaps of our own morsels: try again when all of those have been taken.
        drop(permit);
        let permit = self.acquire(all).await?;
        reservation.try_grow(morsel.bytes)?;
        Ok(Queued {
            morsel,
            _permit: permit,
            _reservation: reservation,
        })
    }

    async fn acquire(&self, permits: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        match Arc::clone(&self.budget).acquire_many_owned(permits).await {
            Ok(permit) => Ok(permit),
            Err(closed) => exec_err!("the exchange's queue: {closed}"),
        }
    }
}
