//! `seequel scheduler` and `seequel executor`: processes of a cluster.

use std::net::SocketAddr;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use super::args::Process;
use super::runner::Stop;
use crate::cluster::{ExecutorSettings, run_executor, run_scheduler};
use crate::{Engine, Error, Result};

/// Runs a process of a cluster on the threads of `queries` until Ctrl-C or SIGTERM.
///
/// `announce` is told where it is.
pub(super) async fn run(process: Process, queries: &Handle, announce: fn(&str)) -> Result<(), Stop> {
    let ran = queries.spawn(async move {
        match process {
            Process::Scheduler { bind } => {
                run_scheduler(bind, |address| announce(&listening(address)), stopped()?).await
            }
            Process::Executor { scheduler, cores, bind, host, runtime } => {
                let builder = Engine::builder();
                let engine = match runtime {
                    Some(name) => builder.runtime(name).build()?,
                    None => builder.build()?,
                };
                let started = |cores| announce(&format!("Running up to {cores} tasks of {scheduler}."));
                let settings = ExecutorSettings { scheduler: scheduler.clone(), bind, host, cores };
                run_executor(settings, engine.models(), started).await
            }
        }
    });
    match ran.await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Stop::Failed(format!("the process ended: {error}"))),
    }
}

fn listening(address: SocketAddr) -> String {
    format!("Scheduling at df://{address}; start executors with `seequel executor --scheduler {address}`.")
}

/// Completes with the first Ctrl-C or SIGTERM.
fn stopped() -> Result<impl Future<Output = ()>> {
    let failed = |error| Error::Cluster(format!("signals can't be handled: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
