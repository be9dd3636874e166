//! The service, in the scheduler.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ballista_core::JobId;
use ballista_core::serde::protobuf::task_status::Status as TaskStatus;
use ballista_core::serde::protobuf::{OperatorMetricsSet, OperatorWithMetrics};
use ballista_scheduler::cluster::JobState;
use ballista_scheduler::state::SchedulerState;
use ballista_scheduler::state::execution_graph::ExecutionGraph;
use ballista_scheduler::state::execution_stage::{ExecutionStage, TaskInfo};
use datafusion::common::runtime::JoinSet;
use datafusion::physical_plan::metrics::{Metric, MetricsSet};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::{Request, Response, Status};

use super::messages::{
    Executor, Executors, Listed, ListedJob, Needed, Nothing, OfJob, Report, Results, Stage, Stages,
    StagesOfJob,
};
use super::progress::LIST;
use super::service::jobs_server::{Jobs, JobsServer};
use crate::connect::MESSAGE_BYTES;

pub(super) type State = SchedulerState<LogicalPlanNode, PhysicalPlanNode>;

/// How long a job is listed after its client knows how it ended.
const LISTED_FOR: Duration = Duration::from_secs(3600);

/// The service of the jobs of `state`; those that have ended are in `ended`. Executors are told what is `needed`.
pub(crate) fn jobs(
    state: Arc<State>,
    ended: Arc<dyn JobState>,
    needed: watch::Receiver<Needed>,
) -> JobsServer<Service> {
    let (forgetting, reports) = (Mutex::default(), Mutex::default());
    JobsServer::new(Service { state, ended, forgetting, reports, needed })
        .max_encoding_message_size(MESSAGE_BYTES as usize)
}

pub(crate) struct Service {
    state: Arc<State>,
    ended: Arc<dyn JobState>,
    /// Waits until jobs are forgotten.
    forgetting: Mutex<JoinSet<()>>,
    /// The last of each executor.
    reports: Mutex<HashMap<String, Report>>,
    needed: watch::Receiver<Needed>,
}

impl Service {
    fn reports(&self) -> MutexGuard<'_, HashMap<String, Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `of` tells of a job that is planned.
    async fn planned<T>(
        &self,
        job: &JobId,
        of: impl FnOnce(&dyn ExecutionGraph) -> T,
    ) -> Result<Option<T>, Status> {
        if let Some(job) = self.state.task_manager.get_running_job_cache().get(job) {
            return Ok(Some(of(job.execution_graph.read().await.as_ref())));
        }
        let graph = self.ended.get_execution_graph(job).await.map_err(failed)?;
        Ok(graph.map(|graph| of(graph.as_ref())))
    }
}

#[tonic::async_trait]
impl Jobs for Service {
    type NeededStream = BoxStream<'static, Result<Needed, Status>>;

    async fn stages(&self, request: Request<StagesOfJob>) -> Result<Response<Stages>, Status> {
        let StagesOfJob { job_id, lists } = request.into_inner();
        let stages = self.planned(&job_id.into(), |job| stages(job, lists)).await?;
        Ok(Response::new(stages.unwrap_or_default()))
    }

    async fn list(&self, _: Request<Nothing>) -> Result<Response<Listed>, Status> {
        let mut jobs = vec![];
        for id in self.ended.get_all_jobs().await.map_err(failed)? {
            let status = self.state.task_manager.get_job_status(&id).await.map_err(failed)?;
            jobs.push(ListedJob { status, stages: self.planned(&id, |job| stages(job, false)).await? });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Response::new(Listed { jobs, now: millis(now) }))
    }

    async fn results(&self, request: Request<OfJob>) -> Result<Response<Results>, Status> {
        let schema = |graph: &dyn ExecutionGraph| graph.physical_plan().schema();
        let schema = self.planned(&request.into_inner().job_id.into(), schema).await?;
        let schema = schema.map(|schema| schema.as_ref().try_into()).transpose().map_err(failed)?;
        Ok(Response::new(Results { schema }))
    }

    async fn ended(&self, request: Request<OfJob>) -> Result<Response<Nothing>, Status> {
        let job = JobId::from(request.into_inner().job_id);
        self.state.executor_manager.clean_up_job_data(job.clone());
        let ended = Arc::clone(&self.ended);
        let mut forgetting = self.forgetting.lock().unwrap_or_else(PoisonError::into_inner);
        while forgetting.try_join_next().is_some() {}
        forgetting.spawn(async move {
            sleep(LISTED_FOR).await;
            if let Err(error) = ended.remove_job(&job).await {
                tracing::debug!("a job was not forgotten: {error}");
            }
        });
        Ok(Response::new(Nothing {}))
    }

    async fn report(&self, request: Request<Report>) -> Result<Response<Nothing>, Status> {
        let report = request.into_inner();
        // One that is not registered could not be forgotten.
        self.state.executor_manager.get_executor_metadata(&report.executor_id).await.map_err(failed)?;
        self.reports().insert(report.executor_id.clone(), report);
        Ok(Response::new(Nothing {}))
    }

    async fn executors(&self, _: Request<Nothing>) -> Result<Response<Executors>, Status> {
        let executors = self.state.executor_manager.get_executors_state().await.map_err(failed)?;
        let mut reports = self.reports();
        reports.retain(|id, _| executors.iter().any(|(executor, ..)| executor.id == *id));
        let executors = executors.into_iter().map(|(executor, last_seen, _)| Executor {
            report: reports.get(&executor.id).cloned(),
            id: executor.id,
            host: executor.host,
            port: u32::from(executor.port),
            cores: executor.specification.vcores,
            last_seen: millis(last_seen.unwrap_or_default()),
        });
        Ok(Response::new(Executors { executors: executors.collect() }))
    }

    /// What is needed now, and again whenever that changes.
    async fn needed(&self, _: Request<Nothing>) -> Result<Response<Self::NeededStream>, Status> {
        let mut needed = self.needed.clone();
        needed.mark_changed();
        let needed = stream::unfold(needed, |mut needed| async {
            needed.changed().await.ok()?;
            let now = needed.borrow_and_update().clone();
            Some((Ok(now), needed))
        });
        Ok(Response::new(needed.boxed()))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

fn stages(graph: &dyn ExecutionGraph, lists: bool) -> Stages {
    let stages: Vec<_> = graph.stages().values().filter_map(|stage| message(stage, lists)).collect();
    Stages { waiting: number(graph.stages().len() - stages.len()), stages }
}

/// Nothing of a stage that waits for others.
fn message(stage: &ExecutionStage, lists: bool) -> Option<Stage> {
    let ended = |tasks: &[TaskInfo]| {
        let ended = tasks.iter().filter(|task| matches!(task.task_status, TaskStatus::Successful(_)));
        ended.map(|task| task.global_input_partition_ids.len()).sum()
    };
    let (id, partitions, ended, plan, metrics) = match stage {
        ExecutionStage::Running(stage) => {
            let ended = ended(&stage.task_infos);
            (stage.stage_id, stage.partitions, ended, &stage.plan, stage.stage_metrics.as_deref())
        }
        ExecutionStage::Failed(stage) => {
            let ended = ended(&stage.task_infos);
            (stage.stage_id, stage.partitions, ended, &stage.plan, stage.stage_metrics.as_deref())
        }
        ExecutionStage::Successful(stage) => {
            let metrics = Some(stage.stage_metrics.as_slice());
            (stage.stage_id, stage.partitions, stage.partitions, &stage.plan, metrics)
        }
        ExecutionStage::UnResolved(_) | ExecutionStage::Resolved(_) => return None,
    };
    let is_told = |metric: &&Arc<Metric>| lists || !metric.value().name().starts_with(LIST);
    let told = |all: &MetricsSet| {
        let mut told = MetricsSet::new();
        all.iter().filter(is_told).for_each(|metric| told.push(Arc::clone(metric)));
        told
    };
    let mut operators = vec![];
    add_operators(plan.as_ref(), 0, &mut metrics.unwrap_or_default().iter().map(told), &mut operators);
    Some(Stage { id: number(id), tasks: number(partitions), ended: number(ended), operators })
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The operators of `plan`, with `metrics` in the order in which executors collect them.
fn add_operators(
    plan: &dyn ExecutionPlan,
    depth: u32,
    metrics: &mut impl Iterator<Item = MetricsSet>,
    operators: &mut Vec<OperatorWithMetrics>,
) {
    let own = plan.metrics().and_then(|_| metrics.next()).and_then(|own| {
        let message: Result<OperatorMetricsSet, _> = own.try_into();
        message.ok()
    });
    operators.push(OperatorWithMetrics {
        depth,
        operator_type: plan.name().to_owned(),
        operator_desc: Line(plan).to_string(),
        metrics: own.map(|own| own.metrics).unwrap_or_default(),
    });
    for child in plan.children() {
        add_operators(child.as_ref(), depth + 1, metrics, operators);
    }
}

/// An operator's line in EXPLAIN.
struct Line<'a>(&'a dyn ExecutionPlan);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_as(DisplayFormatType::Default, f)
    }
}
