//! The operator that runs a plan on the cluster.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};
use futures::TryStreamExt;
use seequel_cluster::Client;

/// Runs the plan below it on the cluster, and gives its rows here.
#[derive(Debug)]
pub(super) struct ClusterExec {
    client: Client,
    plan: Arc<dyn ExecutionPlan>,
    /// The plan as it is sent.
    message: Vec<u8>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ClusterExec {
    /// # Errors
    /// A plan with a part that can't be sent.
    pub(super) fn try_new(client: Client, plan: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let message = client.encode(&plan)?;
        let mut equivalences = plan.equivalence_properties().clone();
        let partitions = plan.output_partitioning().partition_count();
        if partitions > 1 {
            equivalences.clear_orderings();
            equivalences.clear_per_partition_constants();
        }
        let partitioning = Partitioning::UnknownPartitioning(1);
        let properties =
            PlanProperties::new(equivalences, partitioning, EmissionType::Final, plan.boundedness());
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { client, plan, message, properties, metrics })
    }

    /// The plan that runs on the cluster.
    pub(super) fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheduler = self.client.address();
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ClusterExec: scheduler={scheduler}")
            }
            DisplayFormatType::TreeRender => writeln!(f, "scheduler={scheduler}"),
        }
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &'static str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        datafusion::common::assert_eq_or_internal_err!(children.len(), 1, "ClusterExec runs one plan");
        Ok(Arc::new(Self::try_new(self.client.clone(), children.swap_remove(0))?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = self.client.run(self.message.clone(), context.session_config().options());
        let batches = batches.inspect_ok(move |batch| {
            batch.record_output(&metrics);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
