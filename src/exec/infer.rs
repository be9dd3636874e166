//! The operator that runs models: it appends predictions to its input's rows.
//!
//! Above an exchange, a partition has one thread, which works on one morsel at a time. Where the order of rows matters
//! there is no exchange, and a partition works on several morsels at once and emits them in order. See `worker.rs`.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::stats;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics, assert_eq_or_internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionMapping;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr,
    PlanProperties, StatisticsArgs, apply_expression_roots,
};
use futures::TryStreamExt;
use itertools::Itertools;

use super::adapt::Adaptation;
use super::decode_infer::{BatchBuffers, Decoders, Guard, WorkerMemory};
use super::failures::Undecoded;
use super::metrics::InferMetrics;
use super::predictions::{Found, PhysicalCall, bound};
use super::worker::Worker;
use crate::config::{InferenceOptions, OnError};
use crate::exec::exchange::{Growing, morsels};
use crate::failures::QueryFailures;
use crate::model::runtime::Model;

/// Where a partition's morsels come from: the rows that are decoded and inferred together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Morsels {
    /// From the exchange below, one after the other.
    Exchanged,
    /// Cut from an input whose order matters, processed concurrently and emitted in order.
    Ordered {
        /// Maximum rows of a morsel.
        rows: usize,
        /// Morsels processed at once.
        in_flight: usize,
    },
}

/// Appends to each row the predictions of its calls. Keeps rows, unless failed ones are skipped, order and partitions.
#[derive(Debug, Clone)]
pub struct InferExec {
    pub(crate) input: Arc<dyn ExecutionPlan>,
    pub(crate) calls: Vec<PhysicalCall>,
    /// Names a row in errors and the log.
    pub(crate) row: Option<Arc<dyn PhysicalExpr>>,
    /// Positions of the key's columns in the input, if rows that are left out are to be told of.
    key: Option<Vec<usize>>,
    morsels: Morsels,
    /// What becomes of rows that fail.
    pub(crate) on_error: OnError,
    pub(crate) failures: QueryFailures,
    pub(crate) undecoded: Arc<Undecoded>,
    /// Those of the operator below.
    pub(crate) undecoded_below: Option<Arc<Undecoded>>,
    pub(crate) decoders: Option<Arc<Decoders>>,
    /// Is told what is in hand.
    pub(super) guard: Option<Arc<dyn Guard>>,
    pub(crate) memory: Arc<WorkerMemory<Vec<BatchBuffers>>>,
    pub(crate) adaptation: Arc<Adaptation>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InferExec {
    /// Inference of `calls` over `input`; `row` names a row in errors and the log. `decode_threads` threads decode the
    /// images of each morsel side by side, or else the thread that infers it does.
    ///
    /// # Errors
    /// A bug: equivalences of the input that don't fit its schema.
    pub fn try_new(
        input: Arc<dyn ExecutionPlan>,
        calls: Vec<PhysicalCall>,
        row: Option<Arc<dyn PhysicalExpr>>,
        morsels: Morsels,
        decode_threads: Option<usize>,
    ) -> Result<Self> {
        let properties = Arc::new(properties_with(&input, fields(&calls))?);
        let decoders = decode_threads.map(|threads| Arc::new(Decoders::new(threads)));
        let (memory, adaptation) = (Arc::default(), Arc::default());
        let metrics = ExecutionPlanMetricsSet::new();
        let (on_error, failures) = (OnError::Null, QueryFailures::default());
        let (undecoded, undecoded_below) = (Arc::default(), Undecoded::below(&input, undecoded_of));
        Ok(Self {
            input,
            calls,
            row,
            key: None,
            morsels,
            on_error,
            failures,
            undecoded,
            undecoded_below,
            decoders,
            guard: None,
            memory,
            adaptation,
            properties,
            metrics,
        })
    }

    /// The operator in the query with these settings, which decide what becomes of rows that fail.
    #[must_use]
    pub fn in_query(mut self, config: &ConfigOptions) -> Self {
        self.on_error = InferenceOptions::of(config).on_error;
        self.failures = QueryFailures::of(config);
        self
    }

    /// The operator that tells of the rows that it leaves out, by the key in these columns of its input.
    pub(crate) fn telling(mut self, key: Vec<usize>) -> Self {
        self.key = Some(key);
        self
    }

    /// The operator whose failed rows are reported elsewhere than to its query.
    #[cfg(feature = "cluster")]
    pub(crate) fn reporting(mut self, failures: QueryFailures) -> Self {
        self.failures = failures;
        self
    }

    /// The operator in a process that may die of an image.
    #[cfg(feature = "cluster")]
    pub(crate) fn guarded(mut self, guard: Arc<dyn Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Positions of the key's columns, if rows are left out and to be told of.
    pub(crate) fn key(&self) -> Option<&[usize]> {
        self.key.as_deref().filter(|_| self.skips_rows())
    }

    /// The operator with other expressions in the place of its calls' inputs, of the same values.
    ///
    /// # Errors
    /// Those of `map`.
    pub(crate) fn map_inputs(
        mut self,
        mut map: impl FnMut(Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>>,
    ) -> Result<Self> {
        for input in self.calls.iter_mut().flat_map(|call| &mut call.inputs) {
            *input = map(Arc::clone(input))?;
        }
        Ok(self)
    }

    /// Whether there may be fewer rows than in the input.
    fn skips_rows(&self) -> bool {
        self.on_error == OnError::Skip
    }

    /// The columns that are added, in order.
    #[must_use]
    pub fn calls(&self) -> &[PhysicalCall] {
        &self.calls
    }

    /// The models that run, each once.
    pub(crate) fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.calls.iter().flat_map(|call| call.predictor.members()).unique()
    }

    /// Threads that infer.
    pub(crate) fn workers(&self) -> usize {
        let partitions = self.properties.partitioning.partition_count();
        match self.morsels {
            Morsels::Exchanged => partitions,
            Morsels::Ordered { in_flight, .. } => partitions * in_flight,
        }
    }

    /// Whether any of the models takes an image.
    #[must_use]
    pub fn has_images(&self) -> bool {
        self.calls.iter().any(|call| call.predictor.takes_image())
    }

    /// Model runs per row: one for each model and its inputs, however many calls share it.
    #[must_use]
    pub fn runs_a_row(&self) -> usize {
        let runs = self.calls.iter().flat_map(|call| {
            call.predictor.members().iter().map(|model| (call.inputs.as_slice(), model.as_ref()))
        });
        runs.unique().count()
    }

    /// What devices left to the CPU, of each model that has been loaded on one.
    fn left_to_cpu(&self) -> String {
        let left = |model: &Arc<Model>| Some(format!("{} {}", model.spec().name, model.left_to_cpu()?));
        self.models().filter_map(left).join("; ")
    }
}

fn undecoded_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<Undecoded>> {
    plan.downcast_ref::<InferExec>().map(|infer| &infer.undecoded)
}

/// The columns of `calls`.
fn fields(calls: &[PhysicalCall]) -> impl Iterator<Item = FieldRef> {
    calls.iter().map(|call| Arc::clone(&call.field))
}

/// The properties of an operator that keeps the rows of `input` and adds the columns `added`.
pub(crate) fn properties_with(
    input: &Arc<dyn ExecutionPlan>,
    added: impl Iterator<Item = FieldRef>,
) -> Result<PlanProperties> {
    let input_schema = input.schema();
    let fields: Vec<_> = input_schema.fields().iter().cloned().chain(added).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, input_schema.metadata().clone()));
    let all: Vec<_> = (0..input_schema.fields().len()).collect();
    let mapping = ProjectionMapping::from_indices(&all, &input_schema)?;
    let equivalences = input.equivalence_properties().project(&mapping, schema);
    let partitioning = input.output_partitioning().project(&mapping, input.equivalence_properties());
    Ok(PlanProperties::new(equivalences, partitioning, EmissionType::Incremental, input.boundedness()))
}

impl DisplayAs for InferExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                // A plan that has not run is displayed alike, whatever the process has loaded or learned.
                let has_run = self.metrics.clone_inner().iter().next().is_some();
                let found = |model: &Model| Found {
                    faster: self.adaptation.found(model),
                    bound: has_run.then(|| bound(model)).flatten(),
                };
                let calls = self.calls.iter().map(|call| call.described(found));
                write!(f, "InferExec: calls=[{}]", calls.format(", "))?;
                if let Morsels::Ordered { rows, in_flight } = self.morsels {
                    write!(f, ", morsel_rows={rows}, in_flight={in_flight}")?;
                }
                if self.skips_rows() {
                    f.write_str(", on_error=skip")?;
                }
                if let Some(decoders) = &self.decoders {
                    write!(f, ", decode_threads={}", decoders.threads())?;
                }
                match self.left_to_cpu() {
                    left if left.is_empty() || !(has_run || matches!(format, DisplayFormatType::Verbose)) => {
                        Ok(())
                    }
                    left => write!(f, ", left_to_cpu=[{left}]"),
                }
            }
            DisplayFormatType::TreeRender => self.calls.iter().try_for_each(|call| writeln!(f, "{call}")),
        }
    }
}

impl ExecutionPlan for InferExec {
    fn name(&self) -> &'static str {
        "InferExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// The input's order is kept. If it has none, `true` would make DataFusion sort the input instead of the result:
    /// rows with image bytes instead of rows with labels.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![self.input.output_ordering().is_some()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.calls.iter().flat_map(|call| &call.inputs).chain(&self.row), f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_eq_or_internal_err!(children.len(), 1, "InferExec has one input");
        let input = children.swap_remove(0);
        let properties = match options.children_properties {
            ChildrenPropertiesMode::Keep => Arc::clone(&self.properties),
            ChildrenPropertiesMode::Recompute => Arc::new(properties_with(&input, fields(&self.calls))?),
        };
        Ok(Arc::new(Self {
            input,
            properties,
            memory: Arc::default(),
            adaptation: Arc::default(),
            metrics: ExecutionPlanMetricsSet::new(),
            ..Self::clone(&self)
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let metrics = InferMetrics::new(&self.metrics, partition);
        let baseline = metrics.baseline.clone();
        let span = tracing::debug_span!("infer", partition).or_current();
        let worker = Worker::try_new(self, metrics, span, &context)?;
        let batches = match self.morsels {
            Morsels::Exchanged => worker.run_alone(input),
            Morsels::Ordered { rows, in_flight } => {
                worker.run_in_flight(morsels(input, Growing::fixed(rows)), in_flight)
            }
        };
        let batches = batches.inspect_ok(move |batch| {
            batch.record_output(&baseline);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let [input] = inputs else {
            return Ok(Arc::new(Statistics::new_unknown(&self.schema())));
        };
        let mut statistics = Statistics::clone(input);
        if self.skips_rows() {
            statistics = statistics.to_inexact();
        }
        statistics.total_byte_size = stats::Precision::Absent;
        statistics.column_statistics.extend(self.calls.iter().map(|_| ColumnStatistics::new_unknown()));
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        !self.skips_rows()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if self.skips_rows() { CardinalityEffect::LowerEqual } else { CardinalityEffect::Equal }
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
