//! The process that runs tasks.
//!
//! ```text
//!  executor ── asks for tasks, tells how they ended ──► scheduler
//!     ▲  └──── asks for results of other tasks ───────► other executors
//!     └─ clients and executors ask for results
//! ```
//!
//! It has no port that takes tasks: it runs those of its scheduler, and nobody else can give it any.

mod disk;
mod kept;
mod pool;
mod registration;
mod tasks;
mod worker;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::connect::{Security, host_in_url};
use crate::jobs::OwnModels;
use crate::settings::cluster_settings;
use crate::{Address, Error};
use kept::serve_results;
use registration::Registration;
use tasks::Jobs;
pub use tasks::TaskPartitions;
use worker::{End, Worker};

/// Where an executor is reached.
#[derive(Debug, Clone)]
pub struct ExecutorAddress {
    /// The address that it listens at.
    pub bind: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The name by which clients and other executors reach it; else the address.
    pub host: Option<String>,
}

/// An executor that has its port.
#[derive(Debug)]
pub struct Executor {
    listener: TcpListener,
    host: String,
    port: u16,
    cores: usize,
    security: Security,
    /// The file of the last registration.
    registered: Option<PathBuf>,
}

/// What a task runs with, made for it alone.
pub struct OfTask {
    /// Its settings, before those of its client.
    pub config: Box<dyn Fn() -> SessionConfig + Send + Sync>,
    /// The stores of its client's session.
    pub runtime: Box<dyn Fn() -> datafusion::error::Result<Arc<RuntimeEnv>> + Send + Sync>,
}

impl std::fmt::Debug for OfTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfTask").finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor of `cores` tasks at a time.
    ///
    /// # Errors
    /// An address that this machine does not have, or that others can reach while there is no token; a host that is none.
    pub async fn bind(address: ExecutorAddress, cores: usize, security: Security) -> Result<Self, Error> {
        security.allows(address.bind)?;
        security.server()?;
        let host = address.host.unwrap_or_else(|| address.bind.to_string());
        let host = host_in_url(&host).map_err(Error::Process)?;
        let failed = |error: std::io::Error| {
            Error::Process(format!("the executor can't listen at {}: {error}", address.bind))
        };
        let listener = TcpListener::bind((address.bind, address.port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, host, port, cores, security, registered: None })
    }

    /// The executor after another process, which left its registration in `file` and tells nobody that it ended.
    #[must_use]
    pub fn after_death(self, file: PathBuf) -> Self {
        Self { registered: Some(file), ..self }
    }

    /// Runs tasks until `stop`, and then those that have begun. Plans are read by `codec`, which may name the functions of
    /// `session`, and run with what `of_task` gives; `models` are told to the scheduler.
    ///
    /// # Errors
    /// A scheduler that refuses the executor or does not answer for a minute, a folder that can't be used.
    pub async fn run(
        self,
        scheduler: &Address,
        codec: Arc<dyn PhysicalExtensionCodec>,
        session: &SessionState,
        of_task: OfTask,
        models: OwnModels,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let Self { listener, host, port, cores, security, registered } = self;
        let folder = TempDir::with_prefix("seequel-executor-");
        let folder = folder
            .map_err(|error| Error::Process(format!("the executor has no folder for results: {error}")))?;
        let mut results = serve_results(listener, folder.path(), &security)?;
        let (OfTask { config, runtime }, for_tasks) = (of_task, security.clone());
        let worker = Worker {
            folder,
            jobs: Arc::new(Jobs::default()),
            codec: BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), codec),
            functions: Arc::new(BallistaFunctionRegistry::from(session)),
            config: Arc::new(move || cluster_settings(config(), &for_tasks)),
            runtime: Arc::new(move |_| runtime()),
            models,
            cores,
        };
        let mut stop = pin!(stop);
        let mut lost = registered.as_deref().and_then(Registration::read);
        loop {
            let registration = Registration::new(&host, port, cores);
            let connection = tokio::select! {
                registered = registration.register(scheduler, &security) => registered?,
                () = &mut stop => return Ok(()),
            };
            if let Some(file) = &registered {
                registration.write(file);
            }
            let mut client = connection.ballista();
            if let Some(lost) = lost.take() {
                tracing::warn!("the executor is back at {scheduler}");
                lost.end(&mut client, "it died or lost its scheduler").await;
            }
            let end = tokio::select! {
                end = worker.run(&registration, &connection, &mut stop) => end,
                _ = results.join_next() => {
                    return Err(Error::Process("the executor can't give results any more".to_owned()));
                }
            };
            match end? {
                End::Stopped => {
                    registration.end(&mut client, "it was stopped").await;
                    return Ok(());
                }
                End::Lost => {
                    tracing::warn!("the scheduler at {scheduler} does not answer; its tasks here are ended");
                    worker.jobs.end_all();
                    lost = Some(registration);
                }
            }
        }
    }
}
