//! The process that divides plans into tasks and hands them to executors.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use crate::Error;
use crate::settings::{MESSAGE_BYTES, cluster_settings};

/// Seconds without a sign of life after which an executor is lost, and its tasks go to others. Executors give one every
/// [`HEARTBEAT_SECONDS`].
const TIMEOUT_SECONDS: u64 = 10;
/// Seconds between two looks for lost executors.
const EXPIRE_SECONDS: u64 = 2;
/// Seconds between an executor's signs of life.
pub(crate) const HEARTBEAT_SECONDS: u64 = 2;
/// Seconds that jobs wait for an executor when there is none.
const NO_EXECUTORS_SECONDS: u64 = 60;

/// Makes the session of a client's settings, whose functions the plans may name.
pub type SessionBuilder = Arc<dyn Fn(SessionConfig) -> datafusion::error::Result<SessionState> + Send + Sync>;

/// A scheduler that has its port.
pub struct Scheduler {
    listener: TcpListener,
    address: SocketAddr,
}

impl Scheduler {
    /// Takes the port; 0 takes a free one.
    ///
    /// # Errors
    /// An address that is in use, or that this machine does not have.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::Process(format!("the scheduler can't listen at {address}: {error}"))
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where clients and executors reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. `sessions` are of settings that start as `config`, and `codec` reads the plans.
    ///
    /// # Errors
    /// A network that fails.
    pub async fn serve(
        self,
        codec: Arc<dyn PhysicalExtensionCodec>,
        config: impl Fn() -> SessionConfig + Send + Sync + 'static,
        sessions: SessionBuilder,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let settings = SchedulerConfig {
            bind_host: self.address.ip().to_string(),
            external_host: self.address.ip().to_string(),
            bind_port: self.address.port(),
            scheduling_policy: TaskSchedulingPolicy::PushStaged,
            grpc_server_max_decoding_message_size: MESSAGE_BYTES,
            grpc_server_max_encoding_message_size: MESSAGE_BYTES,
            grpc_client_max_message_size: MESSAGE_BYTES,
            executor_timeout_seconds: TIMEOUT_SECONDS,
            expire_dead_executor_interval_seconds: EXPIRE_SECONDS,
            no_executors_grace_period_seconds: NO_EXECUTORS_SECONDS,
            override_physical_codec: Some(codec),
            override_config_producer: Some(Arc::new(move || cluster_settings(config()))),
            override_session_builder: Some(sessions),
            ..SchedulerConfig::default()
        };
        let failed = |error| Error::Process(format!("the scheduler can't go on: {error}"));
        let cluster = BallistaCluster::new_from_config(&settings).await.map_err(failed)?;
        let server = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(settings));
        let server = server.await.map_err(failed)?;
        tokio::select! {
            served = start_grpc_service_with_listener(self.listener, server) => served.map_err(failed),
            () = stop => Ok(()),
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("address", &self.address).finish()
    }
}
