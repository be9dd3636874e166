//! Inference on its way to the machine that runs it.
//!
//! ```text
//!  InferTaskExec: specifications of models         execute       InferExec
//!    input, a partition a task                    ────────►        InferExchangeExec
//!                                                                    the partition of the task
//! ```
//!
//! The scheduler passes it on, and needs no model. An executor finds the models when a task starts, and sizes inference
//! for its own cores and devices.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{assert_eq_or_internal_err, internal_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{Metric, MetricValue, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties, apply_expression_roots, execute_stream,
};
use futures::TryStreamExt;
use futures::stream;
use itertools::Itertools;
use parking_lot::Mutex;

use super::call::TaskCall;
use super::models::ExecutorModels;
use crate::Error;
use crate::exec::{InferExec, Undecoded, properties_with};
use crate::failures::QueryFailures;
use crate::plan::plan_inference;

/// Inference whose models are specified, and found where it runs. Keeps rows and partitions.
#[derive(Debug, Clone)]
pub(crate) struct InferTaskExec {
    input: Arc<dyn ExecutionPlan>,
    calls: Vec<TaskCall>,
    row: Option<Arc<dyn PhysicalExpr>>,
    models: Option<Arc<ExecutorModels>>,
    /// Who is told of the rows that fail, and by which columns of the input as a key.
    told: Option<(QueryFailures, Option<Vec<usize>>)>,
    /// The images that its tasks could not decode, which those above need not report again.
    undecoded: Arc<Undecoded>,
    properties: Arc<PlanProperties>,
    /// What runs, for its metrics.
    running: Arc<Mutex<Vec<Arc<InferExec>>>>,
}

impl InferTaskExec {
    /// # Errors
    /// A bug: equivalences of the input that don't fit its schema.
    pub(in crate::cluster) fn new(
        input: Arc<dyn ExecutionPlan>,
        calls: Vec<TaskCall>,
        row: Option<Arc<dyn PhysicalExpr>>,
        models: Option<Arc<ExecutorModels>>,
    ) -> Result<Self> {
        let added = calls.iter().map(|call| Arc::clone(&call.field));
        let properties = Arc::new(properties_with(&input, added)?);
        Ok(Self {
            input,
            calls,
            row,
            models,
            told: None,
            undecoded: Arc::default(),
            properties,
            running: Arc::default(),
        })
    }

    pub(in crate::cluster) fn calls(&self) -> &[TaskCall] {
        &self.calls
    }

    /// The same with rows that fail reported to `failures`, and those that are left out with the key in these columns of the
    /// input.
    pub(in crate::cluster) fn telling(self, failures: QueryFailures, key: Option<Vec<usize>>) -> Self {
        Self { told: Some((failures, key)), ..self }
    }

    /// The same with other expressions in the place of its calls' inputs, of the same values.
    ///
    /// # Errors
    /// Those of `map`.
    pub(in crate::cluster) fn map_inputs(
        &self,
        map: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>>,
    ) -> Result<Self> {
        let mut task = self.clone();
        for input in task.calls.iter_mut().flat_map(|call| &mut call.inputs) {
            *input = map(input)?;
        }
        Ok(task)
    }

    pub(in crate::cluster) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    pub(in crate::cluster) fn row(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.row.as_ref()
    }

    /// Inference over a partition, as one partition for this task.
    async fn plan(self, partition: usize, context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
        let models = self.models.ok_or_else(|| internal_datafusion_err!("only an executor infers"))?;
        let mut calls = vec![];
        for call in &self.calls {
            calls.push(call.with(models.predictor(&call.predictor).await?));
        }
        let below = Undecoded::below(&self.input, undecoded_of);
        let input = Arc::new(PartitionExec::new(self.input, partition));
        // The task has one of the executor's cores.
        let inference = plan_inference(input, calls, self.row, 1)?;
        let mut inference = inference.in_query(context.session_config().options());
        (inference.undecoded, inference.undecoded_below) = (self.undecoded, below);
        if let Some(guard) = models.guard() {
            inference = inference.guarded(guard);
        }
        if let Some((failures, key)) = self.told {
            inference = inference.reporting(failures);
            inference = if let Some(key) = key { inference.telling(key) } else { inference };
        }
        let inference = Arc::new(inference);
        self.running.lock().push(Arc::clone(&inference));
        Ok(inference)
    }
}

fn undecoded_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<Undecoded>> {
    plan.downcast_ref::<InferTaskExec>().map(|infer| &infer.undecoded)
}

impl DisplayAs for InferTaskExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.calls.iter().map(|call| {
            let inputs = call.inputs.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("{}={}", call.field.name(), call.request.display(&inputs, &call.predictor.name))
        });
        write!(f, "InferTaskExec: calls=[{}]", columns.format(", "))
    }
}

impl ExecutionPlan for InferTaskExec {
    fn name(&self) -> &'static str {
        "InferTaskExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

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
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_eq_or_internal_err!(children.len(), 1, "InferTaskExec has one input");
        let Self { calls, row, models, told, .. } = Self::clone(&self);
        Ok(Arc::new(Self { told, ..Self::new(children.swap_remove(0), calls, row, models)? }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let task = self.clone();
        let batches = stream::once(async move {
            let plan = task.plan(partition, &context).await?;
            execute_stream(plan, context)
        });
        let batches = batches.try_flatten().map_err(as_text);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    /// Those of inference, without the kinds that Ballista can't send: it would send none at all.
    fn metrics(&self) -> Option<MetricsSet> {
        let is_sent = |metric: &&Arc<Metric>| !matches!(metric.value(), MetricValue::Custom { .. });
        let mut all = MetricsSet::new();
        for metrics in self.running.lock().iter().filter_map(|infer| infer.metrics()) {
            metrics.iter().filter(is_sent).for_each(|metric| all.push(Arc::clone(metric)));
        }
        Some(all)
    }
}

/// An error of ours as its message: others would send its debug output. DataFusion's own say whether to try again.
pub(super) fn as_text(error: DataFusionError) -> DataFusionError {
    match error.find_root() {
        DataFusionError::External(ours) if ours.is::<Error>() => DataFusionError::Execution(ours.to_string()),
        _ => error,
    }
}

/// One partition of an operator, as the only one.
#[derive(Debug)]
struct PartitionExec {
    input: Arc<dyn ExecutionPlan>,
    partition: usize,
    properties: Arc<PlanProperties>,
}

impl PartitionExec {
    fn new(input: Arc<dyn ExecutionPlan>, partition: usize) -> Self {
        let properties = PlanProperties::clone(input.properties());
        let properties = Arc::new(properties.with_partitioning(Partitioning::UnknownPartitioning(1)));
        Self { input, partition, properties }
    }
}

impl DisplayAs for PartitionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionExec: {}", self.partition)
    }
}

impl ExecutionPlan for PartitionExec {
    fn name(&self) -> &'static str {
        "PartitionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// None: the input is that of the operator that is planned here, too, and its metrics would count twice.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(self.partition, context)
    }
}
