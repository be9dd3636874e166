//! The physical node that lists the files of a location, for other tasks to read.
//!
//! ```text
//!  ListImagesExec, one task ─► RepartitionExec, by the hash of the path ─► FetchImagesExec, a task for each hash
//! ```
//!
//! A file's task depends on its path alone, and not on the files listed before it: if the listing is lost and done
//! again while some tasks have ended, no file changes its task, even if others have come or gone.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, split_conjunction};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream::{self, StreamExt, TryReadyChunksError, TryStreamExt};
use itertools::Itertools;

use super::listed;
use super::pipeline::Scan;
use crate::resume::{FinishedKeys, Skip};

/// Lists files, in one partition whose rows are those of `listed`. Until [`Self::placed`] says so in the plan, it claims
/// the partitions that these rows will be in.
///
/// Metrics: as [`ImagesExec`](super::ImagesExec) has of the listing.
#[derive(Debug)]
pub(crate) struct ListImagesExec {
    scan: Scan,
    /// Of the table.
    partition_columns: Vec<String>,
    /// Whose files are left out.
    finished: Option<FinishedKeys>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ListImagesExec {
    /// Lists the files of `scan`, of a table with these partition columns, for so many tasks.
    pub(crate) fn new(scan: Scan, partition_columns: Vec<String>, tasks: usize) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&listed::SCHEMA)),
            Partitioning::UnknownPartitioning(tasks),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { scan, partition_columns, finished: None, properties, metrics }
    }

    /// The same without files that are finished.
    pub(crate) fn without(self, finished: Option<FinishedKeys>) -> Self {
        Self { finished, ..self }
    }

    /// Whose files are left out.
    pub(crate) fn finished(&self) -> Option<&FinishedKeys> {
        self.finished.as_ref()
    }

    fn of_tasks(&self, tasks: usize) -> Self {
        let list = Self::new(self.scan.clone(), self.partition_columns.clone(), tasks);
        list.without(self.finished.clone())
    }

    /// The same listing for as many tasks, without files that are finished.
    pub(crate) fn skipping(&self, finished: FinishedKeys) -> Self {
        self.of_tasks(self.tasks()).without(Some(finished))
    }

    /// What it lists.
    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// The partition columns of the table.
    pub(crate) fn partition_columns(&self) -> &[String] {
        &self.partition_columns
    }

    /// The operators that list in one task and deal the files out.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn placed(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let list: Arc<dyn ExecutionPlan> = Arc::new(self.of_tasks(1));
        match self.tasks() {
            1 => Ok(list),
            tasks => {
                let path: Arc<dyn PhysicalExpr> =
                    Arc::new(Column::new_with_schema("location", &listed::SCHEMA)?);
                Ok(Arc::new(RepartitionExec::try_new(list, Partitioning::Hash(vec![path], tasks))?))
            }
        }
    }

    fn tasks(&self) -> usize {
        self.properties.partitioning.partition_count()
    }
}

impl DisplayAs for ListImagesExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scan { location, filter, limit, .. } = &self.scan;
        if matches!(format, DisplayFormatType::TreeRender) {
            return writeln!(f, "location={location}");
        }
        write!(f, "ListImagesExec: location={location}")?;
        if let Some(filter) = filter {
            write!(f, ", filters=[{}]", split_conjunction(filter).iter().join(", "))?;
        }
        match limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ListImagesExec {
    fn name(&self) -> &'static str {
        "ListImagesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.scan.filter.as_ref().map_or(Ok(TreeNodeRecursion::Continue), visit)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        datafusion::common::assert_eq_or_internal_err!(self.tasks(), 1, "a listing is one task");
        let files = match &self.finished {
            None => self.scan.files(&context, &self.metrics)?,
            Some(finished) => {
                let (begin, skip) = Skip::pair(finished.key);
                let scan = Scan { skip: Some(skip), ..self.scan.clone() };
                let files = scan.files(&context, &self.metrics)?;
                let store = context.runtime_env().object_store(&finished.url)?;
                let memory = MemoryConsumer::new("Resume").register(context.memory_pool());
                let keys = finished.clone().read(store);
                let begun = async move {
                    let keys = keys.await?;
                    memory.try_grow(keys.bytes())?;
                    begin.without(keys);
                    // Kept as long as the keys.
                    Ok::<_, DataFusionError>(files.inspect(move |_| _ = &memory))
                };
                stream::once(begun).try_flatten().boxed()
            }
        };
        let batches = files
            .try_ready_chunks(context.session_config().batch_size())
            .map_err(|TryReadyChunksError(_, error)| error)
            .and_then(|files| std::future::ready(listed::to_batch(&files)));
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&listed::SCHEMA), batches);
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
