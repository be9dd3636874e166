//! What runs tasks, under one name in the scheduler after the other.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::BallistaCodec;
use ballista_core::{ConfigProducer, RuntimeProducer};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor as BallistaExecutor;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::runtime_cache::DefaultSessionRuntimeCache;
use datafusion::common::runtime::SpawnedTask;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::future::join;
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};

use super::disk::Disk;
use super::registration::Registration;
use super::tasks::{Engine, Jobs};
use crate::Error;
use crate::connect::Connection;
use crate::jobs::{OwnModels, report, warm};
use crate::settings::task_memory;

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

/// What runs tasks, whatever the registration.
pub(super) struct Worker {
    pub(super) folder: TempDir,
    pub(super) jobs: Arc<Jobs>,
    pub(super) codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode>,
    pub(super) functions: Arc<BallistaFunctionRegistry>,
    pub(super) config: ConfigProducer,
    pub(super) runtime: RuntimeProducer,
    pub(super) models: OwnModels,
    pub(super) cores: usize,
}

/// Why an executor does not go on with a registration.
pub(super) enum End {
    Stopped,
    Lost,
}

impl Worker {
    /// Runs the tasks of a registration, until `stop` or until a request to the scheduler fails: what was asked for or told
    /// with that is lost, and so are the tasks that it was about.
    pub(super) async fn run(
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
