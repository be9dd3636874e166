//! The process that starts an executor's own, and starts it again if it dies.
//!
//! ```text
//!  supervisor ── standard input: a byte to stop, its end to die ──► child: the executor
//!      ▲                                                              │ in hand
//!      └── died of a signal: suspects, convicts ◄── folder ◄──────────┘
//! ```
//!
//! What a native library does to a process, such as a segmentation fault, ends all tasks of the process; the kernel's killer of
//! processes out of memory does the same. Tasks are repeated, here or elsewhere, and without the rows that they died of.

use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use datafusion::common::runtime::SpawnedTask;
use nix::sys::signal::{Signal, raise};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::quarantine::{Crash, after_crash};
use crate::{Error, Result};

/// Deaths in a row, none of them of one image among others that survive, after which the executor ends.
const MOST_DEATHS: u32 = 10;
/// A process that lived as long did not die of its start.
const LIVED: Duration = Duration::from_secs(60);
/// Before a process is started again: the first time, and the longest.
const SOONEST: Duration = Duration::from_millis(200);
const LATEST: Duration = Duration::from_secs(10);
/// Names of a message.
const NAMED: usize = 3;

/// Runs this program with its own arguments and those of `supervised`, which gets a folder, until it ends; starts it again if it
/// dies of a signal. Passes `stop` on. Returns its exit status.
///
/// # Errors
/// A process that can't be started, or that dies again and again.
pub async fn supervise(
    supervised: impl Fn(&Path) -> Vec<OsString>,
    stop: impl Future<Output = ()>,
) -> Result<u8> {
    let failed =
        |error: io::Error| Error::Cluster(format!("the executor's process can't be started: {error}"));
    let folder = TempDir::with_prefix("seequel-executor-").map_err(failed)?;
    let (mut stop, mut deaths) = (pin!(stop), 0);
    loop {
        let mut child = start(folder.path(), supervised(folder.path())).map_err(failed)?;
        let (mut orders, started) = (child.stdin.take(), Instant::now());
        let mut ended = pin!(SpawnedTask::spawn_blocking(move || child.wait()).join());
        let (ended, is_stopped) = tokio::select! {
            ended = &mut ended => (ended, false),
            () = &mut stop => {
                // One that has ended reads nothing.
                let _ = orders.as_mut().map(|orders| orders.write_all(b"s"));
                (ended.await, true)
            }
        };
        let status = ended.map_err(io::Error::other).and_then(|status| status).map_err(failed)?;
        let Some(signal) = status.signal() else { return Ok(code(status)) };
        let signal =
            Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |name| name.to_string());
        let crash = after_crash(folder.path(), &signal).map_err(failed)?;
        let explained = match &crash {
            Crash::Unexplained => "it had no image in hand".to_owned(),
            Crash::Suspects(names) => format!("what it had in hand is tried alone: {}", listed(names)),
            Crash::Convict(name, _) => format!("of {name}, which is a failed row from now on"),
        };
        tracing::warn!("the executor's process died ({signal}), {explained}");
        if is_stopped {
            return Err(Error::Cluster(format!("the executor died when it was stopped ({signal})")));
        }
        let is_new = matches!(crash, Crash::Convict(_, true)) || started.elapsed() >= LIVED;
        deaths = if is_new { 1 } else { deaths + 1 };
        if deaths >= MOST_DEATHS {
            return Err(Error::Cluster(format!(
                "the executor's process died {deaths} times in a row, the last time of {signal}; the log says of what"
            )));
        }
        tokio::select! {
            () = sleep(SOONEST.saturating_mul(1 << (deaths - 1)).min(LATEST)) => {}
            () = &mut stop => return Ok(0),
        }
    }
}

fn start(folder: &Path, arguments: Vec<OsString>) -> io::Result<Child> {
    // Where results and what sorts spill are, of which nobody asks a process that has died.
    let results = folder.join("results");
    match fs::remove_dir_all(&results) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir(&results)?;
    // The program may have been replaced by a new version.
    let program = std::env::current_exe().ok().filter(|program| program.exists());
    let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).args(arguments);
    command.env("TMPDIR", results).stdin(Stdio::piped()).spawn()
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// In a process that has a supervisor: completes when that asks it to stop. The process dies with its supervisor.
///
/// # Errors
/// A thread that can't be started.
pub fn supervisor_asks() -> Result<impl Future<Output = ()>> {
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    let watch = move || {
        let mut byte = [0];
        while io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {
            asks.notify_one();
        }
        // Not by an exit, which frees what threads use.
        let _ = raise(Signal::SIGKILL);
    };
    let watching = thread::Builder::new().name("supervisor".to_owned()).spawn(watch);
    watching.map_err(|error| Error::Cluster(format!("the supervisor can't be watched: {error}")))?;
    Ok(async move { asked.notified().await })
}
