//! Executors, as `SHOW EXECUTORS` lists them, and what they report to their scheduler.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tonic::transport::Channel;

use super::service::jobs_client::JobsClient;
use super::{LoadModel, messages};

/// Between two looks whether an executor has something new to report.
const LOOKED_EVERY: Duration = Duration::from_secs(1);
/// Between two reports of the same: the scheduler may have been started again.
const REPEATED_EVERY: Duration = Duration::from_secs(10);

/// An executor of a cluster.
#[derive(Debug, Clone)]
pub struct ListedExecutor {
    /// Its name in the scheduler, another one after it has lost its scheduler.
    pub id: String,
    /// Where clients and other executors reach it.
    pub address: String,
    /// Tasks at a time.
    pub cores: u32,
    /// Tasks that run; `None` if it has not told yet.
    pub running: Option<u32>,
    /// The models that it has loaded.
    pub models: Vec<LoadedModel>,
    /// When it asked for tasks last, in milliseconds since 1970.
    pub last_seen: u64,
}

/// A model that an executor has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedModel {
    /// What the client called it that sent it first.
    pub name: String,
    /// SHA-256 of its file, in lower-case hex.
    pub digest: String,
    /// Those that are loaded.
    pub sessions: u32,
    /// What it runs on.
    pub device: String,
    /// Since when it is there, in milliseconds since 1970.
    pub since: u64,
}

/// What an executor does with models.
pub struct OwnModels {
    /// Those that are loaded, which its scheduler is told.
    pub loaded: Box<dyn Fn() -> Vec<LoadedModel> + Send + Sync>,
    /// Loads one that jobs are about to need.
    pub load: LoadModel,
}

impl fmt::Debug for OwnModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnModels").finish_non_exhaustive()
    }
}

impl From<messages::Executor> for ListedExecutor {
    fn from(executor: messages::Executor) -> Self {
        let messages::Executor { id, host, port, cores, last_seen, report } = executor;
        let running = report.as_ref().map(|report| report.running);
        let models = report.into_iter().flat_map(|report| report.models).map(|model| {
            let messages::Model { name, digest, sessions, device, since } = model;
            LoadedModel { name, digest, sessions, device, since }
        });
        Self { id, address: format!("{host}:{port}"), cores, running, models: models.collect(), last_seen }
    }
}

/// Tells the scheduler what an executor runs and has loaded, until dropped.
pub(crate) async fn report(
    scheduler: Channel,
    executor_id: String,
    running: impl Fn() -> usize,
    models: impl Fn() -> Vec<LoadedModel>,
) {
    let mut scheduler = JobsClient::new(scheduler);
    let mut last: Option<(messages::Report, Instant)> = None;
    loop {
        let models = models().into_iter().map(|model| {
            let LoadedModel { name, digest, sessions, device, since } = model;
            messages::Model { name, digest, sessions, device, since }
        });
        let report = messages::Report {
            executor_id: executor_id.clone(),
            running: u32::try_from(running()).unwrap_or(u32::MAX),
            models: models.collect(),
        };
        let is_known =
            last.as_ref().is_some_and(|(last, at)| *last == report && at.elapsed() < REPEATED_EVERY);
        // One that fails is sent again.
        if !is_known && scheduler.report(report.clone()).await.is_ok() {
            last = Some((report, Instant::now()));
        }
        sleep(LOOKED_EVERY).await;
    }
}
