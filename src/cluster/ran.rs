//! What ran on the cluster, for EXPLAIN ANALYZE and the dashboard: the stages of a query that has ended, as operators.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::not_impl_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use seequel_cluster::{JobOperator, JobStage};

/// A stage, or an operator of one. It has run, and does not run again.
#[derive(Debug)]
pub(super) struct RanExec {
    line: String,
    metrics: Option<MetricsSet>,
    children: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl RanExec {
    fn new(line: String, metrics: Option<MetricsSet>, children: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::empty())),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { line, metrics, children, properties: Arc::new(properties) }
    }

    /// A stage above its operators.
    pub(super) fn stage(stage: &JobStage) -> Arc<dyn ExecutionPlan> {
        let mut operators = stage.operators.as_slice();
        let mut children: Vec<Arc<dyn ExecutionPlan>> = vec![];
        while let Some(operator) = take(&mut operators, 0) {
            children.push(operator);
        }
        let line = format!("Stage {}: tasks={}", stage.id, stage.tasks);
        Arc::new(Self::new(line, None, children))
    }
}

/// The first of `operators`, which are from the top down, with those below it, if it is at `depth`.
fn take(operators: &mut &[JobOperator], depth: u32) -> Option<Arc<dyn ExecutionPlan>> {
    let (first, rest) = operators.split_first().filter(|(first, _)| first.depth >= depth)?;
    *operators = rest;
    let mut children = vec![];
    while let Some(child) = take(operators, first.depth + 1) {
        children.push(child);
    }
    let metrics = Some(first.metrics.aggregate_by_name().sorted_for_display());
    Some(Arc::new(RanExec::new(first.line.clone(), metrics, children)))
}

impl DisplayAs for RanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl ExecutionPlan for RanExec {
    fn name(&self) -> &'static str {
        "RanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.children.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.line.clone(), self.metrics.clone(), children)))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        not_impl_err!("what ran on the cluster does not run again")
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.metrics.clone()
    }
}
