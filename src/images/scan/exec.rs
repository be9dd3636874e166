//! The physical node that scans images, as shown by EXPLAIN.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, split_conjunction};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};

use super::columns::Reads;
use super::pipeline::Scan;
use crate::images::listing::Location;
use crate::resume::Skip;

/// Scans the files of a location, as one partition in listing order.
///
/// Metrics: `listed_files` (considered by the scan), `skipped_files` (left out by their names), `unlisted_entries`
/// (entries of a local folder that can't be listed, also by reason: `unlisted_no_permission`), `finished_files` (left
/// out because an earlier run of the statement has written their rows), `chosen_files` (files that pass filter and limit;
/// 0 until all are listed), `opened_files` (files of which any byte was read), `bytes_read`, `list_time` (waiting for the
/// listing),
/// `read_time` (summed over files that are read at the same time), `read_wait_time` (waiting for room for the next file),
/// and `unreadable_files` (rows whose image is NULL because of a read error, which is an error for inference).
#[derive(Debug)]
pub struct ImagesExec {
    scan: Scan,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ImagesExec {
    pub(crate) fn new(scan: Scan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { scan, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The same scan without the rows that `skip` knows as finished.
    pub(crate) fn skipping(&self, skip: Skip) -> Self {
        Self::new(Scan { skip: Some(skip), ..self.scan.clone() })
    }

    /// Where the files are.
    pub(crate) fn location(&self) -> &Location {
        &self.scan.location
    }

    /// Whether files are opened, for their headers or their full content.
    pub(crate) fn opens_files(&self) -> bool {
        Reads::of(&self.scan.projection) != Reads::None
    }
}

impl DisplayAs for ImagesExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scan { location, projection, schema, filter, skip, limit, .. } = &self.scan;
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let reads = Reads::of(projection).name();
        if matches!(format, DisplayFormatType::TreeRender) {
            writeln!(f, "location={location}")?;
            return writeln!(f, "reads={reads}");
        }
        write!(f, "ImagesExec: location={location}, projection=[{}], reads={reads}", columns.join(", "))?;
        if let Some(filter) = filter {
            let filters: Vec<String> =
                split_conjunction(filter).into_iter().map(ToString::to_string).collect();
            write!(f, ", filters=[{}]", filters.join(", "))?;
        }
        if let Some(skip) = skip {
            write!(f, ", resume=[{}]", skip.key().columns().join(", "))?;
        }
        match limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ImagesExec {
    fn name(&self) -> &'static str {
        "ImagesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.scan.filter.as_ref().map_or(Ok(TreeNodeRecursion::Continue), visit)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // A second run of the plan must not add to the metrics of the first.
        Ok(Arc::new(Self::new(self.scan.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        datafusion::common::assert_or_internal_err!(partition == 0, "ImagesExec has one partition only");
        let batches = self.scan.clone().start(&context, &self.metrics)?;
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.scan.schema), batches);
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn fetch(&self) -> Option<usize> {
        self.scan.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::new(Scan { limit, ..self.scan.clone() })))
    }
}
