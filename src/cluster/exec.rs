//! The operator that runs a plan on the cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{
    self, BaselineMetrics, ExecutionPlanMetricsSet, Metric, MetricValue, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use seequel_cluster::{Client, JobProgress, OfferedFile};

use super::dealt::{without_finished, writes_parts};
use super::ran::RanExec;
use super::task::offered_files;
use crate::progress::{Count, Stage, stages};

/// Runs the plan below it on the cluster, and gives its rows here.
#[derive(Debug)]
pub(super) struct ClusterExec {
    client: Client,
    plan: Arc<dyn ExecutionPlan>,
    /// The plan as it is sent.
    message: Vec<u8>,
    /// Those of its models.
    files: Vec<OfferedFile>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    seen: Arc<Seen>,
}

/// What is known of the query on the cluster.
#[derive(Debug, Default)]
struct Seen {
    progress: Mutex<JobProgress>,
    /// The plan that runs, if its files were not known before.
    plan: Mutex<Option<Arc<dyn ExecutionPlan>>>,
    /// The stages, once they have all ended.
    ran: OnceLock<Vec<Arc<dyn ExecutionPlan>>>,
}

impl Seen {
    fn see(&self, progress: JobProgress) {
        let has_ended = progress.stages.iter().all(|stage| stage.ended == stage.tasks);
        if has_ended && progress.waiting == 0 && !progress.stages.is_empty() {
            self.ran.get_or_init(|| progress.stages.iter().rev().map(RanExec::stage).collect());
        }
        *self.progress.lock() = progress;
    }

    /// The sum over all operators of the query.
    fn count(&self, name: &str) -> u64 {
        let progress = self.progress.lock();
        let operators = progress.stages.iter().flat_map(|stage| &stage.operators);
        operators.map(|operator| operator.count(name)).sum()
    }

    /// The files of images, and the rows of other tables.
    fn read_rows(&self) -> u64 {
        let progress = self.progress.lock();
        let operators = progress.stages.iter().flat_map(|stage| &stage.operators);
        let rows = operators.map(|operator| match operator.name.as_str() {
            "FetchImagesExec" => operator.count("chosen_files"),
            // The names of files are of one, too, which does not count them.
            "DataSourceExec" => operator.metrics.output_rows().unwrap_or_default() as u64,
            _ => 0,
        });
        rows.sum()
    }

    fn tasks(&self) -> Count {
        let progress = self.progress.lock();
        let sum = |tasks: fn(&seequel_cluster::JobStage) -> u32| {
            progress.stages.iter().map(|stage| u64::from(tasks(stage))).sum()
        };
        let all = (progress.waiting == 0 && !progress.stages.is_empty()).then(|| sum(|stage| stage.tasks));
        Count { done: sum(|stage| stage.ended), total: all }
    }
}

impl ClusterExec {
    /// # Errors
    /// A plan with a part that can't be sent.
    pub(super) fn try_new(client: Client, plan: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let (message, files) = (client.encode(&plan)?, offered_files(&plan)?);
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
        Ok(Self { client, plan, message, files, properties, metrics, seen: Arc::default() })
    }

    /// How far the query on the cluster is, by the tasks that have ended.
    fn progress(&self) -> BTreeMap<Stage, Count> {
        let plan = self.seen.plan.lock().clone();
        let mut counts = stages(plan.as_ref().unwrap_or(&self.plan).as_ref());
        for (stage, count) in &mut counts {
            count.done = match stage {
                Stage::Read => self.seen.read_rows(),
                Stage::Decoded => self.seen.count("decoded_images"),
                Stage::Inferred => self.seen.count("inferred_rows") + self.seen.count("failed_rows"),
                _ => continue,
            };
        }
        counts.insert(Stage::Tasks, self.seen.tasks());
        counts
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

    /// The plan; after the query what ran of it.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        match self.seen.ran.get() {
            Some(ran) => ran.iter().collect(),
            None => vec![&self.plan],
        }
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
        let seen = Arc::clone(&self.seen);
        let watcher = Arc::new(move |progress| seen.see(progress));
        let batches = if writes_parts(&self.plan)? {
            let (client, plan) = (self.client.clone(), Arc::clone(&self.plan));
            let running = Arc::clone(&self.seen);
            let run = async move {
                let plan = without_finished(plan, &context).await?;
                *running.plan.lock() = Some(Arc::clone(&plan));
                let (message, files) = (client.encode(&plan)?, offered_files(&plan)?);
                Ok::<_, DataFusionError>(client.run(
                    message,
                    context.session_config().options(),
                    files,
                    watcher,
                ))
            };
            stream::once(run).try_flatten().boxed()
        } else {
            let settings = context.session_config().options();
            self.client.run(self.message.clone(), settings, self.files.clone(), watcher)
        };
        let batches = batches.inspect_ok(move |batch| {
            batch.record_output(&metrics);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    /// Its own, and the counts of the stages on the cluster, as [`QueryProgress`](crate::QueryProgress) reads them.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        let mut add = |name: String, value: u64| {
            let count = metrics::Count::new();
            count.add(usize::try_from(value).unwrap_or(usize::MAX));
            metrics.push(Arc::new(Metric::new(MetricValue::Count { name: name.into(), count }, None)));
        };
        let progress = self.progress();
        if progress.contains_key(&Stage::Inferred) {
            add("failed_rows".to_owned(), self.seen.count("failed_rows"));
        }
        for (stage, Count { done, total }) in progress {
            add(stage.to_string(), done);
            if let Some(total) = total {
                add(format!("{stage}_total"), total);
            }
        }
        Some(metrics)
    }
}
