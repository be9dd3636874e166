//! Commits, which run to their end once they have begun: a statement that is dropped meanwhile has all of its files in
//! their places or none.
//!
//! ```text
//!  statement ─ awaits ─► task: results, then the errors file ◄─ await_commits ─ a process that ends
//!     └─ dropped: the task goes on
//! ```

use std::future::Future;
use std::time::{Duration, Instant};

use datafusion::error::{DataFusionError, Result};
use parking_lot::{Condvar, Mutex};
use tracing::Instrument;

static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A commit that has begun, until it is dropped.
#[derive(Debug)]
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        *UNDER_WAY.lock() += 1;
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *UNDER_WAY.lock() -= 1;
        ENDED.notify_all();
    }
}

/// Runs `commit`, also when the result is not awaited any more.
///
/// # Errors
/// Those of `commit`; a bug: a commit that panics.
pub(super) async fn to_its_end(commit: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let under_way = UnderWay::begin();
    let commit = async move {
        let committed = commit.await;
        drop(under_way);
        committed
    };
    #[expect(clippy::disallowed_methods, reason = "it must not end with the query")]
    let task = tokio::spawn(commit.in_current_span());
    task.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

/// Waits at most `most` for the commits of the process to end; returns whether they have.
///
/// For programs that end after they dropped a statement, or cancelled it: files of one that had begun to put them in their
/// places are there without the others if the process ends meanwhile. Blocks the thread.
pub fn await_commits(most: Duration) -> bool {
    let deadline = Instant::now() + most;
    let mut under_way = UNDER_WAY.lock();
    while *under_way > 0 {
        if ENDED.wait_until(&mut under_way, deadline).timed_out() {
            return *under_way == 0;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dropped_commit_runs_to_its_end_and_is_waited_for() {
        let (first, begins) = oneshot::channel();
        let (second, ends) = oneshot::channel();
        let commit = to_its_end(async move {
            begins.await.ok();
            second.send(()).ok();
            Ok(())
        });
        assert!(commit.now_or_never().is_none(), "it waits for the channel");
        assert!(!await_commits(Duration::ZERO), "it is under way");
        let waiting = SpawnedTask::spawn_blocking(|| await_commits(Duration::from_secs(60)));
        first.send(()).unwrap();
        ends.await.unwrap();
        assert!(waiting.join().await.unwrap());
    }
}
