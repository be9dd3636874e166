//! The physical node that reads images of which another operator gives the entries of the listing.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, assert_eq_or_internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, StatisticsArgs,
};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::columns::Reads;
use super::listed;
use super::pipeline::Scan;
use crate::failures::QueryFailures;

/// Reads the files that the rows of its input name, in their order; keeps partitions.
///
/// Metrics: those of [`ImagesExec`](super::ImagesExec), without those of the listing.
#[derive(Debug)]
pub(crate) struct FetchImagesExec {
    input: Arc<dyn ExecutionPlan>,
    scan: Scan,
    /// Of the table.
    partition_columns: Vec<String>,
    /// Whether the files are not known before the statement runs.
    is_later: bool,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FetchImagesExec {
    /// Reads the files of `input`, whose columns are those of `listed`, for `scan`, whose filter they have passed, of a
    /// table with these partition columns.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, scan: Scan, partition_columns: Vec<String>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            input.boundedness(),
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, scan, partition_columns, is_later: false, properties, metrics }
    }

    /// As [`Self::new`], over an input in whose place another comes once the statement runs.
    pub(super) fn later(input: Arc<dyn ExecutionPlan>, scan: Scan, partition_columns: Vec<String>) -> Self {
        Self { is_later: true, ..Self::new(input, scan, partition_columns) }
    }

    /// What it reads of each file.
    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// The partition columns of the table.
    pub(crate) fn partition_columns(&self) -> &[String] {
        &self.partition_columns
    }

    /// The same over the same input, with files that fail reported elsewhere.
    pub(crate) fn reporting(&self, failures: QueryFailures) -> Arc<dyn ExecutionPlan> {
        self.over(Arc::clone(&self.input), Scan { failures, ..self.scan.clone() })
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>, scan: Scan) -> Arc<dyn ExecutionPlan> {
        let partition_columns = self.partition_columns.clone();
        Arc::new(Self { is_later: self.is_later, ..Self::new(input, scan, partition_columns) })
    }
}

impl DisplayAs for FetchImagesExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scan { location, projection, schema, limit, .. } = &self.scan;
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let reads = Reads::of(projection).name();
        if matches!(format, DisplayFormatType::TreeRender) {
            writeln!(f, "location={location}")?;
            return writeln!(f, "reads={reads}");
        }
        write!(
            f,
            "FetchImagesExec: location={location}, projection=[{}], reads={reads}, tasks=",
            columns.join(", "),
        )?;
        match self.is_later {
            true => write!(f, "(as many as unfinished files need)")?,
            false => write!(f, "{}", self.properties.partitioning.partition_count())?,
        }
        match limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for FetchImagesExec {
    fn name(&self) -> &'static str {
        "FetchImagesExec"
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
        assert_eq_or_internal_err!(children.len(), 1, "FetchImagesExec has one input");
        Ok(self.over(children.swap_remove(0), self.scan.clone()))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let entries = self.input.execute(partition, Arc::clone(&context))?;
        let files = entries
            .and_then(|batch| std::future::ready(listed::from_batch(&batch)))
            .map_ok(|files| stream::iter(files).map(Ok::<_, DataFusionError>))
            .try_flatten();
        let files = match self.scan.limit {
            Some(limit) => files.take(limit).boxed(),
            None => files.boxed(),
        };
        let batches = self.scan.clone().start_with(files, &context, &self.metrics)?;
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.scan.schema), batches);
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// As many rows as entries. Their bytes are unknown.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let ([entries], false) = (inputs, self.is_later) {
            statistics.num_rows = entries.num_rows;
        }
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn fetch(&self) -> Option<usize> {
        self.scan.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(self.over(Arc::clone(&self.input), Scan { limit, ..self.scan.clone() }))
    }
}
