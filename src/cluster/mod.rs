//! Queries on several machines, by Ballista.
//!
//! ```text
//!  client: Engine::builder().cluster(…)            scheduler            executors
//!  SQL ─ planner.rs, rule.rs ─► ClusterExec ─ codec/ ─► stages ─ tasks ─► FetchImagesExec ─► InferTaskExec
//!  rows, and what writes them ◄──────────────────────────────────────────── results             └─ task/
//! ```
//!
//! The client plans: it lists files, resolves models and applies all rules, as for itself. Ballista's scheduler gets a
//! physical plan, and divides it; its adaptive planner, which would plan again by rules of its own, has no part in it.
//! Whatever writes results, such as COPY, runs in the client, so that a statement writes once, whatever tasks are repeated.
//! Tasks of a COPY that continues write its parts, of which each counts once (`write/parts/task.rs`).
//!
//! Image bytes stay where they are read: a task gets the entries of files, and reads, decodes and infers. Where they would
//! pass to another task, a query has one task (`planner.rs`).

mod attach;
mod codec;
mod dealt;
mod exec;
mod executors;
mod jobs;
mod joins;
mod leaves;
mod planner;
mod processes;
mod quarantine;
mod ran;
mod rule;
mod seen;
mod supervisor;
mod task;
mod task_failures;

use std::sync::Arc;

use datafusion::execution::session_state::SessionStateBuilder;
#[cfg(feature = "dashboard")]
pub(crate) use seequel_cluster::ListedExecutor;
pub use seequel_cluster::{Address, Security, finish_cancelling};
use seequel_cluster::{Client, cluster_settings};
#[cfg(feature = "shell")]
pub(crate) use seequel_cluster::{executor_bind, scheduler_bind};

use crate::config::NamedRows;
pub(crate) use attach::JobTable;
use codec::SeequelCodec;
pub(crate) use executors::{show_executors, with_executors};
use jobs::OwnCluster;
#[cfg(feature = "shell")]
pub(crate) use jobs::detach;
pub(crate) use jobs::{cancel_job, client_of, own_client, show_jobs};
use planner::ClusterPlanner;
pub use processes::{ExecutorSettings, run_executor, run_scheduler};
use rule::RunOnCluster;
pub use supervisor::{supervise, supervisor_asks};

/// Partitions after a shuffle, unless the session names another number: more than a cluster of a few machines has cores.
const SHUFFLE_PARTITIONS: usize = 16;

/// The session `builder`, which has Seequel, with plans that run on the cluster of `scheduler`.
pub(crate) fn on_cluster(
    mut builder: SessionStateBuilder,
    scheduler: Address,
    security: Security,
) -> SessionStateBuilder {
    let config = builder.config().take().unwrap_or_default();
    let mut config = cluster_settings(config, &security).with_target_partitions(SHUFFLE_PARTITIONS);
    let codec = |secret| Arc::new(SeequelCodec::of_client(secret)) as _;
    let client = Client::new(scheduler, security, codec);
    config.options_mut().extensions.insert(OwnCluster(client.clone()));
    config.options_mut().extensions.insert(NamedRows);
    *builder.config() = Some(config);
    builder
        .with_physical_optimizer_rule(Arc::new(RunOnCluster::new(client)))
        .with_query_planner(Arc::new(ClusterPlanner::default()))
}
