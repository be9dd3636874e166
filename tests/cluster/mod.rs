//! A scheduler and executors as processes of this machine, and queries on them.

mod addresses;
mod chaos;
mod connections;
#[cfg(target_os = "linux")]
mod detach;
mod errors;
mod executors;
mod expressions;
mod failures;
mod files;
mod jobs;
mod joins;
mod limits;
mod listing;
mod manifests;
#[cfg(target_os = "linux")]
mod models;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod poison;
mod process;
mod processes;
mod queries;
mod restarts;
mod resume;
mod security;
mod seeing;
mod silence;
#[cfg(target_os = "linux")]
mod warm;

use std::path::Path;

use crate::support::process::{Outcome, seequel};

use processes::Cluster;

/// `sql` on the cluster, with results as CSV.
fn on(cluster: &Cluster, folder: &Path, sql: &str) -> Outcome {
    let arguments = ["--cluster", &cluster.url, "-q", "--format", "csv", "-c", sql];
    Outcome::of(&mut seequel(folder, &arguments))
}

/// `sql` in one process, with results as CSV.
fn alone(folder: &Path, sql: &str) -> Outcome {
    Outcome::of(&mut seequel(folder, &["-q", "--format", "csv", "-c", sql]))
}
