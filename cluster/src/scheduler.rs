//! The process that divides plans into tasks and hands them to executors.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::job_status;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::JobIdGenerator;
use ballista_scheduler::state::SchedulerState;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::service::interceptor::InterceptedService;
use uuid::Uuid;

use crate::Error;
use crate::connect::{MESSAGE_BYTES, Security, incoming};
use crate::error::innermost;
use crate::files::{Relay, files};
use crate::jobs::{ModelsOf, jobs, watch_needs};
use crate::settings::cluster_settings;

/// Seconds without a request after which an executor is lost, and its tasks go to others. One whose cores are all busy
/// asks every 5 seconds.
const TIMEOUT_SECONDS: u64 = 10;
/// Seconds between two looks for lost executors.
const EXPIRE_SECONDS: u64 = 2;
/// Seconds that jobs wait for an executor when there is none.
const NO_EXECUTORS_SECONDS: u64 = 60;

/// Seconds that the results of a job wait for a client that has left; a client that has waited for them tells when it has
/// them.
const KEPT_SECONDS: u64 = 24 * 60 * 60;
/// Between two looks for files that are held for jobs that have ended.
const LOOKED_EVERY: Duration = Duration::from_secs(60);

/// Makes the session of a client's settings, whose functions the plans may name.
pub type SessionBuilder = Arc<dyn Fn(SessionConfig) -> datafusion::error::Result<SessionState> + Send + Sync>;

/// A scheduler that has its port.
pub struct Scheduler {
    listener: TcpListener,
    address: SocketAddr,
    security: Security,
}

impl Scheduler {
    /// Takes the port; 0 takes a free one.
    ///
    /// # Errors
    /// An address that is in use, that this machine does not have, or that others can reach while there is no token.
    pub async fn bind(address: SocketAddr, security: Security) -> Result<Self, Error> {
        security.allows(address.ip())?;
        security.server()?;
        let failed = |error: std::io::Error| {
            Error::Process(format!("the scheduler can't listen at {address}: {error}"))
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, security })
    }

    /// Where clients and executors reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. `sessions` are of settings that start as `config`, and `codec` reads the plans; executors are told
    /// of the `models` in them.
    ///
    /// # Errors
    /// A network that fails.
    pub async fn serve(
        self,
        codec: Arc<dyn PhysicalExtensionCodec>,
        config: impl Fn() -> SessionConfig + Send + Sync + 'static,
        sessions: SessionBuilder,
        models: ModelsOf,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let (mut server, for_sessions) = (self.security.server()?, self.security.clone());
        let settings = SchedulerConfig {
            bind_host: self.address.ip().to_string(),
            external_host: self.address.ip().to_string(),
            bind_port: self.address.port(),
            scheduling_policy: TaskSchedulingPolicy::PullStaged,
            grpc_server_max_decoding_message_size: MESSAGE_BYTES,
            grpc_server_max_encoding_message_size: MESSAGE_BYTES,
            grpc_client_max_message_size: MESSAGE_BYTES,
            executor_timeout_seconds: TIMEOUT_SECONDS,
            expire_dead_executor_interval_seconds: EXPIRE_SECONDS,
            no_executors_grace_period_seconds: NO_EXECUTORS_SECONDS,
            finished_job_data_clean_up_interval_seconds: KEPT_SECONDS,
            finished_job_state_clean_up_interval_seconds: KEPT_SECONDS,
            job_id_generator: Some(Arc::new(JobIds)),
            override_physical_codec: Some(codec),
            override_config_producer: Some(Arc::new(move || cluster_settings(config(), &for_sessions))),
            override_session_builder: Some(sessions),
            override_create_grpc_client_endpoint: Some(Arc::new(
                |_| Err("executors take no requests".into()),
            )),
            ..SchedulerConfig::default()
        };
        let failed = |error| Error::Process(format!("the scheduler can't go on: {error}"));
        let cluster = BallistaCluster::new_from_config(&settings).await.map_err(failed)?;
        let (ended, relay) = (cluster.job_state(), Relay::default());
        let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(settings));
        let scheduler = scheduler.await.map_err(failed)?;
        let forgetting = forget_files(relay.clone(), Arc::clone(&scheduler.state));
        let (needed, needs) = watch::channel(<_>::default());
        let watching = watch_needs(Arc::clone(&scheduler.state), models, needed);
        let jobs = jobs(Arc::clone(&scheduler.state), ended, needs);
        let scheduler = SchedulerGrpcServer::new(scheduler)
            .max_decoding_message_size(MESSAGE_BYTES as usize)
            .max_encoding_message_size(MESSAGE_BYTES as usize);
        let server = server
            .add_service(InterceptedService::new(scheduler, self.security.guard()))
            .add_service(InterceptedService::new(files(relay), self.security.guard()))
            .add_service(InterceptedService::new(jobs, self.security.guard()));
        tokio::select! {
            served = server.serve_with_incoming(incoming(self.listener)) => {
                served.map_err(|error| Error::Process(format!("the scheduler can't go on: {}", innermost(&error))))
            }
            () = forgetting => Ok(()),
            () = watching => Ok(()),
            () = stop => Ok(()),
        }
    }
}

/// Names jobs. Ballista's own generator has a thread that wakes a thousand times a second, as long as the process lives.
struct JobIds;

#[async_trait]
impl JobIdGenerator for JobIds {
    async fn next_id(&self) -> String {
        Uuid::now_v7().simple().to_string()
    }
}

/// Deletes files that are held for jobs that have ended, until dropped.
async fn forget_files(relay: Relay, state: Arc<SchedulerState<LogicalPlanNode, PhysicalPlanNode>>) {
    loop {
        sleep(LOOKED_EVERY).await;
        let mut running = HashSet::new();
        for id in relay.jobs() {
            let status = state.task_manager.get_job_status(&JobId::from(id.clone())).await;
            // It may go on if it is not known how it is.
            let has_ended = status.is_ok_and(|job| {
                !matches!(
                    job.and_then(|job| job.status),
                    Some(job_status::Status::Queued(_) | job_status::Status::Running(_))
                )
            });
            if !has_ended {
                running.insert(id);
            }
        }
        relay.forget_but(&running);
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("address", &self.address).finish()
    }
}
