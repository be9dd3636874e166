//! Handles Ctrl-C at any time: queries run on their own threads, so that the shell never waits for their computation.
//!
//! ```text
//!  main thread:   shell ── waits for ──► the query, or Ctrl-C ── drops ──┐          draws progress meanwhile
//!  query threads: plan, execute, print ◄─────────────────────────────────┘ stop at their next await
//! ```
//!
//! On shared threads, a query that computes for long without an await would delay the handling of the signal.

use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::{signal, time};

use super::runner::Stop;
use crate::exec::cancel_inference;
use crate::shell::progress::{Progress, REDRAW};

/// How long a cancelled query may keep the shell waiting, once for its inference and once for the rest.
const LONGEST_END: Duration = Duration::from_millis(100);

/// Runs `work` on the threads of `queries` until it ends or Ctrl-C cancels it.
pub(crate) async fn interruptible(
    queries: &Handle,
    progress: &Progress,
    work: impl Future<Output = Result<(), Stop>> + Send + 'static,
) -> Result<(), Stop> {
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work, queries);
    let mut interrupted = pin!(interrupt());
    let mut redraw = time::interval(REDRAW);
    let result = loop {
        tokio::select! {
            Some(result) = tasks.join_next() => break match result {
                Ok(result) => result,
                Err(panicked) => Err(Stop::Failed(panicked.to_string())),
            },
            () = &mut interrupted => break Err(Stop::Interrupted),
            _ = redraw.tick() => progress.draw(),
        }
    };
    progress.stop();
    if matches!(result, Err(Stop::Interrupted)) {
        end(tasks).await;
    }
    result
}

/// Drops the query and waits a moment for it to end.
async fn end(mut tasks: JoinSet<Result<(), Stop>>) {
    tasks.abort_all();
    SpawnedTask::spawn_blocking(|| cancel_inference(LONGEST_END)).join().await.ok();
    let joined = async { while tasks.join_next().await.is_some() {} };
    // A query that computes for long without an await ends later.
    time::timeout(LONGEST_END, joined).await.ok();
}

async fn interrupt() {
    if signal::ctrl_c().await.is_err() {
        // The system can't report Ctrl-C, so it never arrives.
        pending().await
    }
}
