//! The process that runs tasks.
//!
//! ```text
//!  executor ── asks for tasks, tells how they ended ──► scheduler
//!     ▲  └──── asks for results of other tasks ───────► other executors
//!     └─ clients and executors ask for results
//! ```
//!
//! It has no port that takes tasks: it runs those of its scheduler, and nobody else can give it any.

use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_core::{ConfigProducer, RuntimeProducer};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor as BallistaExecutor;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::runtime_cache::DefaultSessionRuntimeCache;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::future::join;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::service::interceptor::InterceptedService;

use crate::address::host_in_url;
use crate::connection::Connection;
use crate::disk::Disk;
use crate::jobs::{OwnModels, report, warm};
use crate::kept::Served;
use crate::registration::Registration;
use crate::security::Security;
use crate::settings::{MESSAGE_BYTES, cluster_settings, incoming, task_memory};
use crate::tasks::{Engine, Jobs};
use crate::{Address, Error};

/// Between two requests of an executor with a free core that had a task lately.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// How long an executor expects more tasks after one.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Less than the time between two requests of Ballista's loop, of which none that failed may be missed.
const LOOKED_EVERY: Duration = Duration::from_millis(20);
/// Longer than a request that is on its way when the last task ends.
const ANSWERED_WITHIN: Duration = Duration::from_millis(100);
/// Longer than Ballista's loop waits between two requests while no task can begin.
const TOLD_WITHIN: Duration = Duration::from_secs(6);
/// Sessions whose stores an executor keeps open.
const SESSIONS: usize = 16;

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

/// What runs tasks, whatever the registration.
struct Worker {
    folder: TempDir,
    jobs: Arc<Jobs>,
    codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode>,
    functions: Arc<BallistaFunctionRegistry>,
    config: ConfigProducer,
    runtime: RuntimeProducer,
    models: OwnModels,
    cores: usize,
}

/// Why an executor does not go on with a registration.
enum End {
    Stopped,
    Lost,
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
    /// `session`; `runtime` gives the stores of each client's session; `models` are told to the scheduler.
    ///
    /// # Errors
    /// A scheduler that refuses the executor or does not answer for a minute, a folder that can't be used.
    pub async fn run(
        self,
        scheduler: &Address,
        codec: Arc<dyn PhysicalExtensionCodec>,
        session: &SessionState,
        runtime: impl Fn() -> datafusion::error::Result<Arc<RuntimeEnv>> + Send + Sync + 'static,
        models: OwnModels,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let Self { listener, host, port, cores, security, registered } = self;
        let folder = TempDir::with_prefix("seequel-executor-");
        let folder = folder
            .map_err(|error| Error::Process(format!("the executor has no folder for results: {error}")))?;
        let mut results = serve_results(listener, folder.path(), &security)?;
        let (config, for_tasks): (SessionConfig, _) = (session.config().clone(), security.clone());
        let worker = Worker {
            folder,
            jobs: Arc::new(Jobs::default()),
            codec: BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), codec),
            functions: Arc::new(BallistaFunctionRegistry::from(session)),
            config: Arc::new(move || cluster_settings(config.clone(), &for_tasks)),
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

impl Worker {
    /// Runs the tasks of a registration, until `stop` or until a request to the scheduler fails: what was asked for or told
    /// with that is lost, and so are the tasks that it was about.
    async fn run(
        &self,
        registration: &Registration,
        connection: &Connection,
        mut stop: impl Future<Output = ()> + Unpin,
    ) -> Result<End, Error> {
        let (slots, health) = (Arc::new(Semaphore::new(self.cores)), ExecutorHealth::new());
        health.mark_heartbeat_ok();
        let (executor, codec, ask) =
            (self.executor(registration, &slots), self.codec.clone(), Arc::new(Notify::new()));
        let _asking = SpawnedTask::spawn(ask_often(Arc::clone(&slots), Arc::clone(&ask)));
        let slots_of_loop = Some(Arc::clone(&slots));
        let warming = SpawnedTask::spawn(warm(connection.channel(), Arc::clone(&self.models.load)));
        let client = connection.ballista();
        let watching = join(
            self.jobs.watch(client.clone()),
            report(
                connection.channel(),
                registration.id().to_owned(),
                || self.jobs.running(),
                &self.models.loaded,
            ),
        );
        let polling = poll_loop(client, executor, codec, Some(ask), slots_of_loop, health.clone());
        let (mut polling, mut watching) = (pin!(polling), pin!(watching));
        tokio::select! {
            ended = &mut polling => {
                let reason = ended.err().map_or_else(|| "it does not ask any more".to_owned(), |error| error.to_string());
                return Err(Error::Process(format!("the executor ended: {reason}")));
            }
            () = unanswered(&health) => return Ok(End::Lost),
            _ = &mut watching => {}
            () = &mut stop => {}
        }
        // No task begins any more.
        drop(warming);
        tokio::select! {
            _ = &mut polling => {}
            _ = watching => {}
            () = drained(&slots, self.cores, &health) => {}
        }
        Ok(End::Stopped)
    }

    fn executor(&self, registration: &Registration, slots: &Arc<Semaphore>) -> Arc<BallistaExecutor> {
        let disk = Disk::new(Arc::clone(slots), self.cores);
        let task_memory = task_memory(self.cores);
        let sessions = DefaultSessionRuntimeCache::new(Arc::clone(&self.runtime), task_memory, SESSIONS);
        let executor = BallistaExecutor::new(
            registration.message(),
            &self.folder.path().to_string_lossy(),
            Arc::clone(&self.runtime),
            Arc::clone(&self.config),
            Arc::clone(&self.functions),
            Arc::new(LoggingMetricsCollector::default()),
            self.cores,
            Arc::new(Engine::new(Arc::clone(&self.jobs), disk)),
        );
        Arc::new(executor.with_session_runtime_cache(Some(Arc::new(sessions))))
    }
}

/// Gives results to clients and other executors, until dropped.
fn serve_results(
    listener: TcpListener,
    folder: &Path,
    security: &Security,
) -> Result<JoinSet<Result<(), tonic::transport::Error>>, Error> {
    let results = FlightServiceServer::new(Served::new(folder))
        .max_decoding_message_size(MESSAGE_BYTES as usize)
        .max_encoding_message_size(MESSAGE_BYTES as usize);
    let server = security.server()?.add_service(InterceptedService::new(results, security.guard()));
    let mut serving = JoinSet::new();
    serving.spawn(server.serve_with_incoming(incoming(listener)));
    Ok(serving)
}

/// Lets Ballista's loop ask every [`ASKED_EVERY`] while tasks have begun or ended within [`IDLE_AFTER`]; by itself it asks
/// every second. A thousand idle executors would otherwise take all of the scheduler's time.
async fn ask_often(slots: Arc<Semaphore>, ask: Arc<Notify>) {
    let (mut free, mut changed) = (slots.available_permits(), Instant::now());
    loop {
        sleep(ASKED_EVERY).await;
        let now_free = slots.available_permits();
        if now_free != free {
            (free, changed) = (now_free, Instant::now());
        }
        if changed.elapsed() < IDLE_AFTER {
            ask.notify_one();
        }
    }
}

/// Completes when a request to the scheduler fails.
async fn unanswered(health: &ExecutorHealth) {
    while health.is_ready() {
        sleep(LOOKED_EVERY).await;
    }
}

/// Completes when the scheduler knows how all tasks ended; no task begins from now on.
async fn drained(slots: &Semaphore, cores: usize, health: &ExecutorHealth) {
    let all = u32::try_from(cores).unwrap_or(u32::MAX);
    let is_idle = slots.available_permits() == cores;
    let Ok(permits) = slots.acquire_many(all).await else { return };
    permits.forget();
    if is_idle {
        return;
    }
    sleep(ANSWERED_WITHIN).await;
    health.mark_heartbeat_failed();
    let told = async {
        while !health.is_ready() {
            sleep(LOOKED_EVERY).await;
        }
    };
    // It is not told if a task came in the meantime, which waits to begin. That is repeated elsewhere, and so are those that
    // it was not told of.
    let _ = timeout(TOLD_WITHIN, told).await;
}

#[cfg(test)]
mod tests {
    use arrow_flight::Ticket;
    use arrow_flight::flight_service_client::FlightServiceClient;
    use tonic::Code;
    use tonic::transport::Endpoint;

    use super::*;

    /// How a request for results ends whose ticket means nothing.
    async fn ask(port: u16, security: &Security) -> Code {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let channel = security.endpoint(endpoint).unwrap().connect().await.unwrap();
        let ticket = Ticket { ticket: "none".into() };
        FlightServiceClient::new(channel).do_get(ticket).await.unwrap_err().code()
    }

    #[tokio::test]
    async fn results_are_given_only_for_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |text: &str| {
            let file = folder.path().join("token");
            std::fs::write(&file, text).unwrap();
            Security::load(Some(&file), None).unwrap()
        };
        let ours = secret("a-token-of-the-tests-0123456789");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _serving = serve_results(listener, folder.path(), &ours).unwrap();
        assert_eq!(ask(port, &Security::default()).await, Code::Unauthenticated);
        assert_eq!(ask(port, &secret("another-token-of-the-tests-0123")).await, Code::Unauthenticated);
        // The ticket is read, and found to mean nothing.
        assert_eq!(ask(port, &ours).await, Code::Internal);
    }
}
