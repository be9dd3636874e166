//! The physical node that reads shards of which another operator gives the entries of the listing.

use std::fmt;
use std::sync::Arc;

use datafusion::common::assert_eq_or_internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::exec::{ShardScan, read_shards};
use crate::images::scan::listed;

/// Reads the shards that the rows of its input name, in their order; keeps partitions.
///
/// Metrics: those of [`WebDatasetExec`](super::WebDatasetExec).
#[derive(Debug)]
pub(crate) struct FetchShardsExec {
    input: Arc<dyn ExecutionPlan>,
    scan: ShardScan,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FetchShardsExec {
    /// Reads the shards of `input`, whose columns are those of `listed`, for `scan`, which has none itself.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, scan: ShardScan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            input.boundedness(),
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, scan, properties, metrics }
    }

    /// What it reads of each shard.
    pub(crate) fn scan(&self) -> &ShardScan {
        &self.scan
    }
}

impl DisplayAs for FetchShardsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShardScan { location, schema, limit, .. } = &self.scan;
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let tasks = self.properties.partitioning.partition_count();
        write!(
            f,
            "FetchShardsExec: location={location}, projection=[{}], tasks={tasks}",
            columns.join(", ")
        )?;
        match limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for FetchShardsExec {
    fn name(&self) -> &'static str {
        "FetchShardsExec"
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
        assert_eq_or_internal_err!(children.len(), 1, "FetchShardsExec has one input");
        Ok(Arc::new(Self::new(children.swap_remove(0), self.scan.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let entries = self.input.execute(partition, Arc::clone(&context))?;
        let (scan, metrics) = (self.scan.clone(), self.metrics.clone());
        let batches = stream::once(async move {
            let shards = entries.and_then(|batch| std::future::ready(listed::from_batch(&batch)));
            let shards = shards.try_concat().await?;
            read_shards(scan, shards, partition, &metrics, &context)
        });
        let stream =
            RecordBatchStreamAdapter::new(Arc::clone(&self.scan.schema), batches.try_flatten().boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn fetch(&self) -> Option<usize> {
        self.scan.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::new(Arc::clone(&self.input), ShardScan { limit, ..self.scan.clone() })))
    }
}
