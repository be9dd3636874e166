//! The exchange below inference: any number of inputs, as many outputs as there are workers.
//!
//! ```text
//!  input 0 ─ feeder ─ cut into morsels ─┐   ┌──────────────┐  ┌─► output 0 ─► InferExec 0
//!                                       ├──►│ queue, bound │──┤
//!  input 1 ─ feeder ─ cut into morsels ─┘   │   in bytes   │  └─► output 1 ─► InferExec 1
//!                                           └──────────────┘   a free worker takes the next
//! ```
//!
//! DataFusion's `RepartitionExec` distributes whole batches round-robin, before it is known which output is slow, into
//! channels without an effective bound; and a plan's rows-per-file statistics decide whether it is inserted at all.
//! Models need the opposite: small pieces, a bound in bytes because an image may be 20 kB or 20 MB, and the next piece
//! for whichever worker is free. DataFusion's distribution rules leave this node where the planner put it.
//!
//! Row order is not kept across outputs, so the node is used only where no order is required: see `plan/planner.rs`.

use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, assert_eq_or_internal_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
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
use futures::TryStreamExt;
use parking_lot::Mutex;

use super::morsel::{Growing, MorselRows};
use super::queue::{Queue, QueueMetrics, Queued};

/// Morsels that wait for each output at most.
const MORSELS_AHEAD: usize = 2;

/// The same of files whose rows come by the row group: all of a group, so that the next is read while this one is inferred.
const MORSELS_AHEAD_OF_GROUPS: usize = 64;

/// Hands the rows of its input to `partitions` outputs, in morsels of a few rows.
#[derive(Debug)]
pub struct InferExchangeExec {
    input: Arc<dyn ExecutionPlan>,
    rows: MorselRows,
    growing: Growing,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    execution: Mutex<Option<Execution>>,
    /// The queue of the last execution, while an output owns it.
    last: Mutex<Weak<Queue>>,
}

/// One execution of the node, kept until every output has been requested; after that, only the outputs own its queue.
#[derive(Debug)]
struct Execution {
    queue: Arc<Queue>,
    taken: Vec<bool>,
}

impl InferExchangeExec {
    /// An exchange from all partitions of `input` to `partitions` outputs.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>, partitions: usize, rows: MorselRows) -> Self {
        let mut equivalences = input.equivalence_properties().clone();
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        Self::with_properties(input, partitions, rows, equivalences)
    }

    /// The same exchange, whose morsels may become as large as `limit` rows while a query runs.
    #[must_use]
    pub fn growing_to(self, limit: usize) -> Self {
        Self { growing: Growing::new(self.rows.most, limit), ..self }
    }

    /// The morsels that wait for a worker now.
    pub(crate) fn queued_morsels(&self) -> usize {
        self.last.lock().upgrade().map_or(0, |queue| queue.len())
    }

    /// The rows of the morsels to come.
    pub(crate) fn growing(&self) -> &Growing {
        &self.growing
    }

    fn with_properties(
        input: Arc<dyn ExecutionPlan>,
        partitions: usize,
        rows: MorselRows,
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
            rows,
            growing: Growing::fixed(rows.most),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            execution: Mutex::new(None),
            last: Mutex::default(),
        }
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// The queue of the current execution. Requesting an output a second time starts another execution.
    fn queue(&self, partition: usize, context: &Arc<TaskContext>) -> Arc<Queue> {
        let begin = || {
            let (input, metrics) = (Arc::clone(&self.input), QueueMetrics::new(&self.metrics));
            let rows = self.growing.clone();
            let ahead = if reads_row_groups(&input) { MORSELS_AHEAD_OF_GROUPS } else { MORSELS_AHEAD };
            let outputs = (self.partitions(), ahead);
            let queue = Queue::new(input, rows, self.rows.least, outputs, context, metrics);
            Execution { queue: Arc::new(queue), taken: vec![false; self.partitions()] }
        };
        let mut current = self.execution.lock();
        let mut execution =
            current.take().filter(|execution| !execution.taken[partition]).unwrap_or_else(begin);
        execution.taken[partition] = true;
        let queue = Arc::clone(&execution.queue);
        *self.last.lock() = Arc::downgrade(&queue);
        if execution.taken.contains(&false) {
            *current = Some(execution);
        }
        queue
    }
}

/// Whether rows come from files such as Parquet, rather than image by image.
fn reads_row_groups(input: &Arc<dyn ExecutionPlan>) -> bool {
    let scan = input.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    scan.is_some_and(|source| source.downcast_ref::<FileScanConfig>().is_some())
        || input.children().into_iter().any(reads_row_groups)
}

impl DisplayAs for InferExchangeExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(
                f,
                "InferExchangeExec: partitions={}→{}, morsel_rows={}",
                self.input.output_partitioning().partition_count(),
                self.partitions(),
                self.rows.most
            ),
            DisplayFormatType::TreeRender => {
                writeln!(f, "partitions={}", self.partitions())?;
                writeln!(f, "morsel_rows={}", self.rows.most)
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
        let exchange = Self::new(children.swap_remove(0), self.partitions(), self.rows);
        Ok(Arc::new(exchange.growing_to(self.growing.limit())))
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
        // A morsel's memory stays reserved while it is processed, until the next one is requested.
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
            // Which rows an output gets is decided at run time.
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
