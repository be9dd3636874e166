//! The operator that runs a plan on the cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
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
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use itertools::Itertools;
use seequel_cluster::{Client, OfferedFile, Sent};

use super::codec::ClientConverter;
use super::dealt::{without_finished, writes_parts};
use super::seen::{Seen, add_counts, read_rows, runs};
use super::task::offered_files;
use super::task_failures::TaskFailures;
use crate::Error;
use crate::progress::{Count, Stage, stages};
use crate::queries::QueryText;
use crate::secrets::hidden;

/// What a job's name has of its statement.
const NAME_CHARACTERS: usize = 100;

/// Runs the plan below it on the cluster, and gives its rows here.
#[derive(Debug)]
pub(super) struct ClusterExec {
    client: Client,
    plan: Arc<dyn ExecutionPlan>,
    /// The plan as it is sent.
    message: Vec<u8>,
    /// Those of its models.
    files: Vec<OfferedFile>,
    /// Its failed rows, if they are limited or told.
    failures: Option<TaskFailures>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    seen: Arc<Seen>,
}

impl ClusterExec {
    /// # Errors
    /// A plan with a part that can't be sent.
    pub(super) fn try_new(
        client: Client,
        plan: Arc<dyn ExecutionPlan>,
        failures: Option<TaskFailures>,
    ) -> Result<Self> {
        let plan = told_by(failures.as_ref(), plan)?;
        let (message, files) = encoded(&client, &plan)?;
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
        Ok(Self { client, plan, message, files, failures, properties, metrics, seen: Arc::default() })
    }

    /// How far the query on the cluster is, by the tasks that have ended.
    fn progress(&self) -> BTreeMap<Stage, Count> {
        let plan = self.seen.dealt();
        let mut counts = stages(plan.as_ref().unwrap_or(&self.plan).as_ref());
        let progress = self.seen.progress();
        for (stage, count) in &mut counts {
            count.done = match stage {
                Stage::Read => read_rows(&progress),
                Stage::Decoded => progress.count("decoded_images"),
                Stage::Inferred => runs(&progress),
                _ => continue,
            };
        }
        let (done, total) = progress.tasks();
        counts.insert(Stage::Tasks, Count { done, total });
        counts
    }

    /// Begins the query with these settings, and leaves it to the cluster; returns the name of its job.
    ///
    /// # Errors
    /// A scheduler that does not answer or refuses it; limits on failed rows, which only a client checks.
    pub(super) async fn leave(&self, settings: &ConfigOptions) -> Result<String> {
        if self.failures.as_ref().is_some_and(TaskFailures::are_limited) {
            let reason = "--detach can't leave a query with inference.max_errors or inference.max_error_ratio: the client \
                          adds up the failed rows of all tasks. SET both to 'none', or run it without --detach";
            return Err(Error::Cluster(reason.to_owned()).into());
        }
        Ok(self.client.leave(self.sent(settings), settings).await?)
    }

    /// What is sent of the query with these settings.
    fn sent(&self, settings: &ConfigOptions) -> Sent {
        Sent { plan: self.message.clone(), name: job_name(settings), files: self.files.clone() }
    }

    /// The plan that runs on the cluster.
    pub(super) fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }
}

/// `plan` as it is sent, and the files of its models.
fn encoded(client: &Client, plan: &Arc<dyn ExecutionPlan>) -> Result<(Vec<u8>, Vec<OfferedFile>)> {
    let converter = ClientConverter::new(client.secret());
    let message = client.encode(plan, &converter)?;
    let files = offered_files(plan)?.into_iter().chain(converter.into_files());
    Ok((message, files.unique_by(|file| file.digest.clone()).collect()))
}

/// `plan` with what tells which rows of its tasks have failed, if anybody asks for them.
fn told_by(failures: Option<&TaskFailures>, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    match failures {
        Some(failures) => failures.told_by(plan),
        None => Ok(plan),
    }
}

/// `batches`, which come when all tasks have ended, once no more rows have failed than may, and all that have are told.
async fn checked(
    mut batches: BoxStream<'static, Result<RecordBatch>>,
    failures: TaskFailures,
    seen: Arc<Seen>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let first = match batches.next().await.transpose() {
        Ok(first) => failures.check_ended(&seen.progress()).map(|()| first),
        Err(error) if is_stopped(&error) => {
            failures.check_running(&seen.progress()).and_then(|()| Err(error))
        }
        Err(error) => return Err(error),
    };
    failures.tell().await?;
    Ok(stream::iter(first?).map(Ok).chain(batches).boxed())
}

/// Whether the query was ended because of the rows that have failed.
fn is_stopped(error: &DataFusionError) -> bool {
    matches!(error, DataFusionError::External(error) if matches!(error.downcast_ref(), Some(seequel_cluster::Error::Stopped)))
}

/// The beginning of a query's statement.
fn job_name(settings: &ConfigOptions) -> String {
    let text = QueryText::of(settings).unwrap_or_default();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    hidden(&words).chars().take(NAME_CHARACTERS).collect()
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
        match self.seen.ran() {
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
        let (client, failures) = (self.client.clone(), self.failures.clone());
        Ok(Arc::new(Self::try_new(client, children.swap_remove(0), failures)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let seen = Arc::clone(&self.seen);
        let failures = self.failures.clone();
        let watcher = Arc::new(move |mut progress| {
            let goes_on = match &failures {
                Some(failures) => failures.see(&mut progress),
                None => ControlFlow::Continue(()),
            };
            seen.see(progress);
            goes_on
        });
        let failures = self.failures.clone();
        let settings = context.session_config().options();
        let settings = &TaskFailures::settings_of_tasks(failures.as_ref(), settings);
        let batches = if writes_parts(&self.plan)? {
            let (client, plan, seen) = (self.client.clone(), Arc::clone(&self.plan), Arc::clone(&self.seen));
            let (name, failures, settings) = (job_name(settings), failures.clone(), settings.clone());
            let run = async move {
                let plan = told_by(failures.as_ref(), without_finished(plan, &context).await?)?;
                seen.deal(&plan);
                let (plan, files) = encoded(&client, &plan)?;
                let sent = Sent { plan, name, files };
                Ok::<_, DataFusionError>(client.run(sent, &settings, watcher))
            };
            stream::once(run).try_flatten().boxed()
        } else {
            self.client.run(self.sent(settings), settings, watcher)
        };
        let batches = match failures {
            Some(failures) => {
                let checked = checked(batches, failures, Arc::clone(&self.seen));
                stream::once(checked).try_flatten().boxed()
            }
            None => batches,
        };
        let batches = batches.inspect_ok(move |batch| {
            batch.record_output(&metrics);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    /// Its own, and the counts of the stages on the cluster, as [`QueryProgress`](crate::QueryProgress) reads them.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        add_counts(&mut metrics, self.progress(), &self.seen.progress());
        Some(metrics)
    }
}
