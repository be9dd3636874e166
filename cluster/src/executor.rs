//! The process that runs tasks.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use tempfile::TempDir;

use crate::scheduler::HEARTBEAT_SECONDS;
use crate::settings::{MESSAGE_BYTES, cluster_settings};
use crate::{Address, Error};

/// Seconds that an executor waits for its scheduler.
const CONNECT_SECONDS: u16 = 60;

/// Where an executor is reached.
#[derive(Debug, Clone)]
pub struct ExecutorAddress {
    /// The address that it listens at, on ports that are free.
    pub bind: IpAddr,
    /// The name by which scheduler, clients and other executors reach it; else the address.
    pub host: Option<String>,
}

/// An executor before it starts.
#[derive(Debug)]
pub struct Executor {
    address: ExecutorAddress,
    ports: [u16; 2],
    cores: usize,
}

impl Executor {
    /// An executor of `cores` tasks at a time.
    ///
    /// # Errors
    /// An address that this machine does not have.
    pub fn new(address: ExecutorAddress, cores: usize) -> Result<Self, Error> {
        // Ballista tells the scheduler the ports that it is given. They stay free until it takes them in a moment.
        let listen = || TcpListener::bind((address.bind, 0));
        let ports = || -> std::io::Result<[u16; 2]> {
            let (results, tasks) = (listen()?, listen()?);
            Ok([results.local_addr()?.port(), tasks.local_addr()?.port()])
        };
        let ports = ports().map_err(|error| {
            Error::Process(format!("the executor can't listen at {}: {error}", address.bind))
        })?;
        Ok(Self { address, ports, cores })
    }

    /// Runs tasks until Ctrl-C or SIGTERM, and then those that have begun. Plans are read by `codec`, which may name the
    /// functions of `session`; `runtime` gives the stores of each client's session.
    ///
    /// # Errors
    /// A scheduler that does not answer for a minute, a port or folder that can't be used.
    pub async fn run(
        self,
        scheduler: &Address,
        codec: Arc<dyn PhysicalExtensionCodec>,
        session: &SessionState,
        runtime: impl Fn() -> datafusion::error::Result<Arc<RuntimeEnv>> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let folder = TempDir::with_prefix("seequel-executor-");
        let folder = folder
            .map_err(|error| Error::Process(format!("the executor has no folder for results: {error}")))?;
        let config: SessionConfig = session.config().clone();
        let [port, grpc_port] = self.ports;
        let settings = ExecutorProcessConfig {
            bind_host: self.address.bind.to_string(),
            external_host: Some(self.address.host.unwrap_or_else(|| self.address.bind.to_string())),
            port,
            grpc_port,
            scheduler_host: scheduler.host(),
            scheduler_port: scheduler.port(),
            scheduler_connect_timeout_seconds: CONNECT_SECONDS,
            vcores: self.cores,
            task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
            work_dir: folder.path().to_str().map(ToOwned::to_owned),
            executor_heartbeat_interval_seconds: HEARTBEAT_SECONDS,
            grpc_max_decoding_message_size: MESSAGE_BYTES,
            grpc_max_encoding_message_size: MESSAGE_BYTES,
            override_physical_codec: Some(codec),
            override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(session))),
            override_config_producer: Some(Arc::new(move || cluster_settings(config.clone()))),
            override_runtime_producer: Some(Arc::new(move |_| runtime())),
            ..ExecutorProcessConfig::default()
        };
        let ran = start_executor_process(Arc::new(settings)).await;
        ran.map_err(|error| Error::Process(format!("the executor of {scheduler} ended: {error}")))
    }
}
