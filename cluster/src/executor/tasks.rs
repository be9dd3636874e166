//! Runs tasks as Ballista does, and ends those of jobs that have ended.
//!
//! An executor asks for tasks, and is not told when their job is cancelled or fails: it asks for that, too.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{
    GetJobStatusParams, RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use tokio::sync::watch;

use super::disk::Disk;
use super::kept::Files;
use super::pool::Pool;
use crate::connect::SchedulerClient;

/// Between two questions whether the jobs of the tasks that run go on.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// The jobs of the tasks that run, each with how many these are, and a channel that tells them when it has ended.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<HashMap<JobId, (usize, watch::Sender<bool>)>>);

impl Jobs {
    fn begin(self: &Arc<Self>, job: &JobId) -> RunningTask {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tasks, ended) = jobs.entry(job.clone()).or_insert_with(|| (0, watch::Sender::new(false)));
        *tasks += 1;
        RunningTask { jobs: Arc::clone(self), job: job.clone(), ended: ended.subscribe() }
    }

    fn end(&self, job: &JobId) {
        if let Some((_, ended)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(job) {
            ended.send_replace(true);
        }
    }

    /// Ends all tasks: their scheduler has lost them.
    pub(crate) fn end_all(&self) {
        for (_, ended) in self.0.lock().unwrap_or_else(PoisonError::into_inner).values() {
            ended.send_replace(true);
        }
    }

    /// The tasks that run.
    pub(crate) fn running(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(|(tasks, _)| tasks).sum()
    }

    /// Asks whether the jobs go on, until dropped.
    pub(crate) async fn watch(&self, mut scheduler: SchedulerClient) {
        loop {
            tokio::time::sleep(ASKED_EVERY).await;
            let jobs: Vec<_> =
                self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
            for job in jobs {
                let asked = scheduler.get_job_status(GetJobStatusParams { job_id: job.to_string() }).await;
                let Ok(answer) = asked else { continue };
                // One that is not known was of another scheduler at this address.
                let status = answer.into_inner().status.map(|job| job.status);
                if !matches!(status, Some(None | Some(Status::Queued(_) | Status::Running(_)))) {
                    self.end(&job);
                }
            }
        }
    }
}

/// A task that runs, among those of its job.
struct RunningTask {
    jobs: Arc<Jobs>,
    job: JobId,
    ended: watch::Receiver<bool>,
}

impl RunningTask {
    async fn job_ended(&mut self) {
        if self.ended.wait_for(|ended| *ended).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let mut jobs = self.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((tasks, _)) = jobs.get_mut(&self.job) {
            *tasks -= 1;
            if *tasks == 0 {
                jobs.remove(&self.job);
            }
        }
    }
}

/// The partitions of its stage that a task has, by its own: among the extensions of the settings that the task runs with. A
/// task that is repeated has the same.
#[derive(Debug, Clone)]
pub struct TaskPartitions(pub Vec<usize>);

/// Ballista's engine, with tasks that end with their jobs.
pub(crate) struct Engine {
    inner: DefaultExecutionEngine,
    jobs: Arc<Jobs>,
    disk: Arc<Disk>,
}

impl Engine {
    pub(crate) fn new(jobs: Arc<Jobs>, disk: Disk) -> Self {
        let inner = DefaultExecutionEngine::with_client_pool(Arc::new(Pool::default()));
        Self { inner, jobs, disk: Arc::new(disk) }
    }
}

impl ExecutionEngine for Engine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let (job, partitions) = (job_id.clone(), global_output_partition_ids);
        let (known, files) = (TaskPartitions(partitions.clone()), Files::of(&plan, Path::new(work_dir))?);
        let inner = self
            .inner
            .create_query_stage_exec(job_id, stage_id, task_id, partitions, plan, work_dir, config)?;
        let (jobs, disk) = (Arc::clone(&self.jobs), Arc::clone(&self.disk));
        Ok(Arc::new(Task { inner, job, partitions: Arc::new(known), files, jobs, disk }))
    }
}

struct Task {
    inner: Arc<dyn QueryStageExecutor>,
    job: JobId,
    partitions: Arc<TaskPartitions>,
    files: Files,
    jobs: Arc<Jobs>,
    disk: Arc<Disk>,
}

impl Task {
    /// `context`, whose settings have the task's partitions.
    fn told(&self, context: &TaskContext) -> Arc<TaskContext> {
        let config = context.session_config().clone().with_extension(Arc::clone(&self.partitions));
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config,
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ))
    }
}

#[tonic::async_trait]
impl QueryStageExecutor for Task {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let (mut running, context) = (self.jobs.begin(&self.job), self.told(&context));
        let written = tokio::select! {
            written = self.inner.execute_query_stage(task_id, context) => written,
            () = running.job_ended() => {
                return Err(DataFusionError::Execution("the query has ended".to_owned()));
            }
        };
        match written.and_then(|written| self.files.check(&written).map(|()| written)) {
            Ok(written) => Ok(written),
            Err(error) => Err(self.disk.failed(error).await),
        }
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.inner.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}
