//! How far the stages of a job are, with the metrics of the tasks that have ended: a service of the scheduler, which
//! Ballista has for jobs that have ended alone.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ballista_core::JobId;
use ballista_core::serde::protobuf::task_status::Status as TaskStatus;
use ballista_core::serde::protobuf::{OperatorMetricsSet, OperatorWithMetrics};
use ballista_scheduler::state::SchedulerState;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const NAME: &str = "seequel.Jobs";
const STAGES: &str = "/seequel.Jobs/Stages";

/// Asks for the stages of a job that runs.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StagesParams {
    #[prost(string, tag = "1")]
    pub(crate) job_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StagesResult {
    /// None if the job does not run.
    #[prost(message, repeated, tag = "1")]
    pub(crate) stages: Vec<StageMessage>,
    /// Stages that wait for these.
    #[prost(uint32, tag = "2")]
    pub(crate) waiting: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StageMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) tasks: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) ended: u32,
    /// From the top down, with the sums over all tasks that have ended.
    #[prost(message, repeated, tag = "4")]
    pub(crate) operators: Vec<OperatorWithMetrics>,
}

/// Asks the scheduler how far the stages of a job that runs are.
pub(crate) async fn stages(scheduler: Channel, job_id: String) -> Result<StagesResult, Status> {
    let mut client = tonic::client::Grpc::new(scheduler);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<StagesParams, StagesResult>::default();
    let request = Request::new(StagesParams { job_id });
    Ok(client.unary(request, PathAndQuery::from_static(STAGES), codec).await?.into_inner())
}

/// Answers [`stages`].
#[derive(Clone)]
pub(crate) struct Watching(Arc<SchedulerState<LogicalPlanNode, PhysicalPlanNode>>);

impl Watching {
    pub(crate) fn new(state: Arc<SchedulerState<LogicalPlanNode, PhysicalPlanNode>>) -> Self {
        Self(state)
    }

    async fn stages(self, job_id: String) -> StagesResult {
        let jobs = self.0.task_manager.get_running_job_cache();
        let Some(job) = jobs.get(&JobId::from(job_id)) else { return StagesResult::default() };
        let graph = job.execution_graph.read().await;
        let stages: Vec<_> = graph.stages().values().filter_map(message).collect();
        StagesResult { waiting: number(graph.stages().len() - stages.len()), stages }
    }
}

/// Nothing of a stage that waits for others.
fn message(stage: &ExecutionStage) -> Option<StageMessage> {
    let (id, partitions, ended, plan, metrics) = match stage {
        ExecutionStage::Running(stage) => {
            let ended =
                stage.task_infos.iter().filter(|task| matches!(task.task_status, TaskStatus::Successful(_)));
            let ended = ended.map(|task| task.global_input_partition_ids.len()).sum();
            (stage.stage_id, stage.partitions, ended, &stage.plan, stage.stage_metrics.as_deref())
        }
        ExecutionStage::Successful(stage) => {
            let metrics = Some(stage.stage_metrics.as_slice());
            (stage.stage_id, stage.partitions, stage.partitions, &stage.plan, metrics)
        }
        ExecutionStage::UnResolved(_) | ExecutionStage::Resolved(_) | ExecutionStage::Failed(_) => {
            return None;
        }
    };
    let mut operators = vec![];
    add_operators(plan.as_ref(), 0, &mut metrics.unwrap_or_default().iter(), &mut operators);
    Some(StageMessage { id: number(id), tasks: number(partitions), ended: number(ended), operators })
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The operators of `plan`, with `metrics` in the order in which executors collect them.
fn add_operators<'a>(
    plan: &dyn ExecutionPlan,
    depth: u32,
    metrics: &mut impl Iterator<Item = &'a MetricsSet>,
    operators: &mut Vec<OperatorWithMetrics>,
) {
    let own = plan.metrics().and_then(|_| metrics.next()).and_then(|own| {
        let message: Result<OperatorMetricsSet, _> = own.clone().try_into();
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

impl NamedService for Watching {
    const NAME: &'static str = NAME;
}

impl<B> Service<http::Request<B>> for Watching
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != STAGES {
            return Box::pin(async { Ok(Status::unimplemented("there is no such method").into_http()) });
        }
        let watching = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<StagesResult, StagesParams>::default();
            Ok(Grpc::new(codec).unary(watching, request).await)
        })
    }
}

impl UnaryService<StagesParams> for Watching {
    type Response = StagesResult;
    type Future = BoxFuture<Response<StagesResult>, Status>;

    fn call(&mut self, request: Request<StagesParams>) -> Self::Future {
        let (watching, job) = (self.clone(), request.into_inner().job_id);
        Box::pin(async move { Ok(Response::new(watching.stages(job).await)) })
    }
}
