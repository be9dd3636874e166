//! `ATTACH 'id'`: the rows of a job as a table, whoever began it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::TryStreamExt;
use seequel_cluster::{Client, JobProgress};

use super::seen::{Seen, add_counts, read_rows, runs};
use crate::progress::{Count, Stage};

/// The rows of a job.
#[derive(Debug)]
pub(crate) struct JobTable {
    client: Client,
    id: String,
    schema: SchemaRef,
}

impl JobTable {
    /// The table of a job, which may go on.
    ///
    /// # Errors
    /// A job that is not known, was cancelled or failed.
    pub(crate) async fn of(client: Client, id: &str) -> crate::Result<Self> {
        let schema = client.schema(id).await?;
        Ok(Self { client, id: id.to_owned(), schema: Arc::new(with_own_names(&schema)) })
    }
}

/// A query may give several columns of a name, a table not: later ones have a number.
fn with_own_names(schema: &Schema) -> Schema {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let fields = schema.fields().iter().map(|field| {
        let number = seen.entry(field.name()).or_insert(0);
        *number += 1;
        let name = if *number == 1 { field.name().clone() } else { format!("{}:{number}", field.name()) };
        field.as_ref().clone().with_name(name)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

#[async_trait]
impl TableProvider for JobTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        let schema = project_schema(&self.schema, Some(&projection))?;
        Ok(Arc::new(AttachExec::new(self.client.clone(), self.id.clone(), projection, schema)))
    }
}

/// Waits for a job, and gives its rows.
#[derive(Debug)]
pub(super) struct AttachExec {
    client: Client,
    id: String,
    projection: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    seen: Arc<Seen>,
}

impl AttachExec {
    fn new(client: Client, id: String, projection: Vec<usize>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { client, id, projection, properties, metrics, seen: Arc::default() }
    }
}

impl DisplayAs for AttachExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "AttachExec: job={}, scheduler={}", self.id, self.client.address())
            }
            DisplayFormatType::TreeRender => writeln!(f, "job={}", self.id),
        }
    }
}

impl ExecutionPlan for AttachExec {
    fn name(&self) -> &'static str {
        "AttachExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let seen = Arc::clone(&self.seen);
        let batches = self.client.attach(
            &self.id,
            Arc::new(move |progress| {
                seen.see(progress);
                ControlFlow::Continue(())
            }),
        );
        let (schema, projection) = (self.schema(), self.projection.clone());
        let batches = batches.and_then(move |batch| {
            let projected = batch.project(&projection);
            let renamed = projected.and_then(|batch| {
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
            });
            std::future::ready(renamed.map_err(Into::into))
        });
        let batches = batches.inspect_ok(move |batch| {
            batch.record_output(&metrics);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    /// Its own, and the counts of the stages on the cluster.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        let progress = self.seen.progress();
        add_counts(&mut metrics, counts(&progress), &progress);
        Some(metrics)
    }
}

/// How far a job is, by the operators of its stages.
fn counts(progress: &JobProgress) -> BTreeMap<Stage, Count> {
    let of = |done| Count { done, total: None };
    let (done, total) = progress.tasks();
    let mut counts =
        BTreeMap::from([(Stage::Read, of(read_rows(progress))), (Stage::Tasks, Count { done, total })]);
    if progress.operators().any(|operator| operator.name == "InferTaskExec") {
        counts.insert(Stage::Decoded, of(progress.count("decoded_images")));
        counts.insert(Stage::Inferred, of(runs(progress)));
    }
    counts
}
