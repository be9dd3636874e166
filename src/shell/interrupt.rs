//! Ctrl-C, at any time: queries work on threads of their own, so that the shell can always leave them alone.
//!
//! ```text
//!  main thread:   shell ── waits for ──► the query, or Ctrl-C ── drops ──┐          meanwhile draws its progress
//!  query threads: plan, execute, print ◄─────────────────────────────────┘ stop at their next await
//! ```
//!
//! On one set of threads a query that computes for long without an await would keep the signal from being noticed.

use std::future::{Future, pending};
use std::pin::pin;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::{signal, time};

use super::runner::Stop;
use crate::shell::progress::{Progress, REDRAW};

/// Does `work` on the threads of `queries` unless Ctrl-C comes first, which cancels it.
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
    result
}

async fn interrupt() {
    if signal::ctrl_c().await.is_err() {
        // the system can't tell us about it, so it never comes
        pending().await
    }
}
