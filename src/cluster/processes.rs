//! The processes of a cluster, with what plans of Seequel need.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use seequel_cluster::{
    Address, Executor, ExecutorAddress, OfTask, OwnModels, Scheduler, Security, SessionBuilder,
};

use super::codec::SeequelCodec;
use super::quarantine::Quarantine;
use super::task::{ExecutorModels, load_sent, models_of};
use crate::config::InferenceOptions;
use crate::failures::QueryFailures;
use crate::model::ModelRegistry;
use crate::stores::StoreRegistry;
use crate::{Error, Result, SeequelExt};

/// The file, in the folder of a supervisor, of the last registration of its executor.
const REGISTRATION: &str = "registration";

/// What an executor is started with.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// Its scheduler.
    pub scheduler: Address,
    /// The address of this machine that it listens at.
    pub bind: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The name by which scheduler, clients and other executors reach this machine; else the address.
    pub host: Option<String>,
    /// Tasks at a time; else one for each core.
    pub cores: Option<NonZeroUsize>,
    /// What it shows to the others, and asks them for.
    pub security: Security,
    /// The folder of its supervisor, if it has one: see [`supervise`](super::supervise).
    pub supervised: Option<PathBuf>,
}

/// Runs a scheduler until `stop`; `started` learns its address.
///
/// # Errors
/// An address that can't be used, or that others can reach while there is no token.
pub async fn run_scheduler(
    bind: SocketAddr,
    security: Security,
    started: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let scheduler = Scheduler::bind(bind, security).await?;
    started(scheduler.address());
    let codec = Arc::new(SeequelCodec::without_models());
    let sessions: SessionBuilder = Arc::new(|config| session(config, &no_models()));
    Ok(scheduler.serve(codec, config, sessions, Arc::new(models_of), stop).await?)
}

/// Runs an executor of the models in `home` until `stop`; `started` is called before it looks for its scheduler.
///
/// # Errors
/// A scheduler that does not answer or refuses it, an address that can't be used.
pub async fn run_executor(
    settings: ExecutorSettings,
    models: &ModelRegistry,
    started: impl FnOnce(usize),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let ExecutorSettings { scheduler, bind, port, host, cores, security, supervised } = settings;
    let cores = cores.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let executor = Executor::bind(ExecutorAddress { bind, port, host }, cores, security.clone()).await?;
    let executor = match &supervised {
        Some(folder) => executor.after_death(folder.join(REGISTRATION)),
        None => executor,
    };
    // A session for each of the tasks that run at a time; none after a death, which may be of a model that was loaded.
    let ahead =
        if supervised.as_ref().is_some_and(|folder| folder.join(REGISTRATION).exists()) { 0 } else { cores };
    let quarantine = supervised.map(|folder| {
        let failed = |error| Error::Cluster(format!("'{}': {error}", folder.display()));
        Quarantine::open(&folder).map(Arc::new).map_err(failed)
    });
    let quarantine = quarantine.transpose()?;
    started(cores);
    let (home, runtime) = (PathBuf::from(models.home()), models.runtime().clone());
    let models = ExecutorModels::new(home, scheduler.clone(), security, runtime);
    let models = Arc::new(match quarantine {
        Some(quarantine) => models.guarded(quarantine),
        None => models,
    });
    let codec = Arc::new(SeequelCodec::with_models(Arc::clone(&models)));
    let session = session(config(), &no_models())?;
    let told = Arc::clone(&models);
    let models = OwnModels {
        loaded: Box::new(move || told.loaded()),
        load: Arc::new(move |model| load_sent(Arc::clone(&models), model, ahead).boxed()),
    };
    let of_task = OfTask { config: Box::new(config_of_task), runtime: Box::new(stores) };
    Ok(executor.run(&scheduler, codec, &session, of_task, models, stop).await?)
}

impl From<seequel_cluster::Error> for Error {
    fn from(error: seequel_cluster::Error) -> Self {
        Self::Cluster(error.to_string())
    }
}

/// Settings that those of a client replace.
fn config() -> SessionConfig {
    SessionConfig::new().with_option_extension(InferenceOptions::default())
}

/// The same for one task, whose operators and functions find there who counts its failed rows.
fn config_of_task() -> SessionConfig {
    let mut config = config();
    config.options_mut().extensions.insert(QueryFailures::default());
    config
}

/// A session whose functions plans may name. None of them runs a model: these travel with the plan.
fn session(config: SessionConfig, models: &Arc<ModelRegistry>) -> datafusion::error::Result<SessionState> {
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(stores()?);
    Ok(builder.with_default_features().with_seequel(models).build())
}

fn no_models() -> Arc<ModelRegistry> {
    Arc::new(ModelRegistry::new(PathBuf::new()))
}

/// Object stores, opened with the settings of this machine's environment.
fn stores() -> datafusion::error::Result<Arc<RuntimeEnv>> {
    RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(StoreRegistry::default())).build_arc()
}
