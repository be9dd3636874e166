//! Handles Ctrl-C and SIGTERM at any time: queries run on their own threads, so that the shell never waits for their
//! computation.
//!
//! ```text
//!  main thread:   shell ── waits for ──► the query, or a signal ─┬─ drops ──┐       draws progress meanwhile
//!                                                                └─ stops ──┤       if it can commit what is finished
//!  query threads: plan, execute, print ◄────────────────────────────────────┘       they end at their next await
//! ```
//!
//! On shared threads, a query that computes for long without an await would delay the handling of the signal.

use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time;
use tokio::time::Instant;
use tracing::Instrument;

use super::runner::Stop;
use super::signals::{interrupt, terminate};
use crate::exec::{cancel_inference, exit};
use crate::resume::stop_all;
use crate::shell::progress::{Progress, REDRAW};
use crate::write::await_commits;

/// Exit status after Ctrl-C: 128 + the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;
/// Exit status after SIGTERM.
pub(crate) const TERMINATED: u8 = 143;

/// How long a cancelled query may keep the shell waiting, once for its inference and once for the rest.
const LONGEST_END: Duration = Duration::from_millis(100);

/// How long files of a cancelled statement may take that it has begun to put in their places. A second signal ends it.
const LONGEST_COMMIT: Duration = Duration::from_secs(7);

/// How long SIGTERM lets a resumable statement finish the rows in flight. Most systems kill a process 30 seconds, or
/// even 10, after the signal.
const ROWS_IN_FLIGHT: Duration = Duration::from_secs(7);

/// What ends a query from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl From<Signal> for Stop {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Interrupt => Self::Interrupted,
            Signal::Terminate => Self::Terminated,
        }
    }
}

/// Runs `work` on the threads of `queries` until it ends or a signal ends it. A resumable statement commits first what is
/// finished, unless a second signal comes.
pub(crate) async fn interruptible(
    queries: &Handle,
    progress: &Progress,
    work: impl Future<Output = Result<(), Stop>> + Send + 'static,
) -> Result<(), Stop> {
    // From here on a signal does not end the process by itself.
    let mut next_signal = pin!(next_signal());
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work.in_current_span(), queries);
    let mut redraw = time::interval(REDRAW);
    // The first signal, and when rows in flight are given up.
    let mut stopping: Option<(Signal, Instant)> = None;
    let result = loop {
        tokio::select! {
            Some(result) = tasks.join_next() => break match result {
                Ok(result) => result,
                Err(panicked) => Err(Stop::Failed(panicked.to_string())),
            },
            signal = &mut next_signal => {
                let commits = stopping.is_none() && stop_all(signal == Signal::Terminate);
                if !commits {
                    break Err(signal.into());
                }
                stopping = Some((signal, Instant::now() + ROWS_IN_FLIGHT));
                next_signal.set(self::next_signal());
            }
            _ = redraw.tick() => {
                progress.draw();
                if stopping.is_some_and(|(_, deadline)| deadline < Instant::now()) {
                    stop_all(false);
                }
            }
        }
    };
    progress.stop();
    match (stopping, result) {
        (Some((signal, _)), Ok(())) => Err(signal.into()),
        (Some((signal, _)), Err(Stop::Failed(message))) => {
            // If standard error is closed too, the message is lost.
            let _ = writeln!(io::stderr(), "{message}");
            Err(signal.into())
        }
        (_, result @ Err(Stop::Interrupted | Stop::Terminated)) => {
            end(tasks).await;
            result
        }
        (_, result) => result,
    }
}

/// Ends the process at SIGTERM while the result exists, for times at which nothing runs.
pub(crate) fn exit_at_sigterm(queries: &Handle) -> JoinSet<()> {
    let mut waiting = JoinSet::new();
    waiting.spawn_on(
        async {
            terminate().await;
            exit(TERMINATED);
        },
        queries,
    );
    waiting
}

/// Drops the query and waits a moment for it to end.
async fn end(mut tasks: JoinSet<Result<(), Stop>>) {
    tasks.abort_all();
    SpawnedTask::spawn_blocking(|| cancel_inference(LONGEST_END)).join().await.ok();
    let joined = async { while tasks.join_next().await.is_some() {} };
    // A query that computes for long without an await ends later.
    time::timeout(LONGEST_END, joined).await.ok();
    let committed = SpawnedTask::spawn_blocking(|| await_commits(LONGEST_COMMIT)).join();
    tokio::select! {
        _ = committed => {}
        _ = next_signal() => {}
    }
}

/// Completes with the next signal, also one that comes before this is polled.
fn next_signal() -> impl Future<Output = Signal> + Send {
    let (interrupted, terminated) = (interrupt(), terminate());
    async {
        tokio::select! {
            () = interrupted => Signal::Interrupt,
            () = terminated => Signal::Terminate,
        }
    }
}
