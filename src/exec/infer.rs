//! The operator that runs models: rows in, the same rows with their answers out.
//!
//! ```text
//!  morsel ─► evaluate image expressions ─► blocking thread: decode_infer ─► morsel + one column a call
//! ```
//!
//! Each partition works on one morsel at a time, or, where the order of rows matters and there is no exchange below, on
//! several at once, handed on in their order. A morsel's work runs on a thread that may block; tokio's workers only
//! pass batches. When a partition's stream is dropped, its work stops before the next image.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics, assert_eq_or_internal_err, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
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
use futures::{StreamExt, TryStreamExt};
use itertools::Itertools;
use seequel_udfs::{ImageArray, classification_type};

use super::decode_infer::{Cancellation, Context, decode_infer};
use super::lane::Answers;
use super::metrics::InferMetrics;
use super::morsel::morsels;
use super::worker_memory::WorkerMemory;
use crate::config::{InferenceOptions, OnError};
use crate::models::Model;

/// One output column: a model, and the image it looks at.
#[derive(Debug, Clone)]
pub struct PhysicalCall {
    /// Name of the column.
    pub column: String,
    /// Gives the encoded bytes: Binary, LargeBinary, BinaryView, or a struct with such a field `bytes`.
    pub image: Arc<dyn PhysicalExpr>,
    /// The model that fills the column.
    pub model: Arc<Model>,
}

/// Where a partition's morsels come from: the rows that are decoded and inferred in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Morsels {
    /// From the exchange below, one after the other.
    Exchanged,
    /// Cut from an input whose order matters, and worked on at once, but handed on in order.
    Ordered {
        /// Rows of a morsel, at most.
        rows: usize,
        /// Morsels at once.
        in_flight: usize,
    },
}

/// Appends to each row the answers of its calls. Keeps rows, order and partitions.
#[derive(Debug, Clone)]
pub struct InferExec {
    input: Arc<dyn ExecutionPlan>,
    calls: Vec<PhysicalCall>,
    /// What errors call a row, where a failing row fails the query.
    row: Option<Arc<dyn PhysicalExpr>>,
    morsels: Morsels,
    memory: Arc<WorkerMemory>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InferExec {
    /// Inference of `calls` over `input`; `row` is what errors call a row.
    ///
    /// # Errors
    /// A bug: equivalences of the input that don't fit its schema.
    pub fn try_new(
        input: Arc<dyn ExecutionPlan>,
        calls: Vec<PhysicalCall>,
        row: Option<Arc<dyn PhysicalExpr>>,
        morsels: Morsels,
    ) -> Result<Self> {
        let properties = Arc::new(properties(&input, &calls)?);
        let (memory, metrics) = (Arc::default(), ExecutionPlanMetricsSet::new());
        Ok(Self { input, calls, row, morsels, memory, properties, metrics })
    }

    /// The columns that are added, in order.
    #[must_use]
    pub fn calls(&self) -> &[PhysicalCall] {
        &self.calls
    }
}

fn properties(input: &Arc<dyn ExecutionPlan>, calls: &[PhysicalCall]) -> Result<PlanProperties> {
    let input_schema = input.schema();
    let answers = calls.iter().map(|call| Arc::new(Field::new(&call.column, classification_type(), true)));
    let fields: Vec<_> = input_schema.fields().iter().cloned().chain(answers).collect();
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
                write!(f, "InferExec: calls=[{}]", self.calls.iter().join(", "))?;
                match self.morsels {
                    Morsels::Exchanged => Ok(()),
                    Morsels::Ordered { rows, in_flight } => {
                        write!(f, ", morsel_rows={rows}, in_flight={in_flight}")
                    }
                }
            }
            DisplayFormatType::TreeRender => self.calls.iter().try_for_each(|call| writeln!(f, "{call}")),
        }
    }
}

impl fmt::Display for PhysicalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, image, model } = self;
        write!(f, "{column}=classify({image}, '{}')", model.spec().name)?;
        match (model.provider(), model.sizing()) {
            (Ok(provider), Ok(sizing)) => write!(
                f,
                " {{device={provider}, batch_size={}, concurrency={}}}",
                sizing.batch_rows, sizing.sessions
            ),
            (Err(error), _) | (_, Err(error)) => write!(f, " {{{error}}}"),
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

    /// An order that the input has is kept. Where it has none, saying so would invite DataFusion to sort the input
    /// instead of the result: rows with image bytes instead of rows with labels.
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
        apply_expression_roots(self.calls.iter().map(|call| &call.image).chain(&self.row), f)
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
            ChildrenPropertiesMode::Recompute => Arc::new(properties(&input, &self.calls)?),
        };
        Ok(Arc::new(Self {
            input,
            properties,
            memory: Arc::default(),
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
        let worker = Arc::new(Worker::new(self, partition, &context));
        let stop = StopOnDrop(worker.cancellation.clone());
        let metrics = worker.metrics.baseline.clone();
        let (morsels, in_flight) = match self.morsels {
            Morsels::Exchanged => (input.boxed(), 1),
            Morsels::Ordered { rows, in_flight } => {
                (morsels(input, rows).map_ok(|morsel| morsel.batch).boxed(), in_flight)
            }
        };
        let batches = morsels
            .map(move |batch| {
                let worker = Arc::clone(&worker);
                async move { worker.infer(batch?).await }
            })
            .buffered(in_flight)
            .inspect_ok(move |batch| {
                let _running = &stop;
                batch.record_output(&metrics);
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
        statistics.total_byte_size = Precision::Absent;
        statistics.column_statistics.extend(self.calls.iter().map(|_| ColumnStatistics::new_unknown()));
        Ok(Arc::new(statistics))
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
struct Worker {
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
    fn new(node: &InferExec, partition: usize, context: &TaskContext) -> Self {
        Self {
            schema: node.schema(),
            calls: node.calls.clone(),
            row: node.row.clone(),
            options: InferenceOptions::of(context.session_config().options()),
            metrics: InferMetrics::new(&node.metrics, partition),
            reservation: MemoryConsumer::new("InferExec").register(context.memory_pool()),
            memory: Arc::clone(&node.memory),
            cancellation: Cancellation::default(),
        }
    }

    async fn infer(self: Arc<Self>, batch: RecordBatch) -> Result<RecordBatch> {
        let work = SpawnedTask::spawn_blocking(move || self.infer_blocking(&batch));
        work.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
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
