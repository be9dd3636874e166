//! Cancels the runs of a query.
//!
//! ```text
//!  stream dropped ─► cancel ─┬─► sets the flag, which workers check before each image and each run
//!                            └─► terminates every registered run, between two nodes of the graph
//!  time limit ─► terminates one run, which fails
//! ```

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use parking_lot::Mutex;

use super::time_limit::{LimitedRun, TimeLimit};

/// Shared by a partition's stream and its worker threads. Cloning is cheap; clones are cancelled together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancellation(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_cancelled: AtomicBool,
    next_id: AtomicU64,
    /// The callback that ends each run in progress.
    runs: Mutex<Vec<(u64, Terminate)>>,
    time_limit: Option<TimeLimit>,
}

/// A [`Cancellation`] that does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakCancellation(Weak<Shared>);

impl WeakCancellation {
    /// The cancellation, if it is still in use.
    pub(crate) fn upgrade(&self) -> Option<Cancellation> {
        self.0.upgrade().map(Cancellation)
    }
}

type Terminate = Box<dyn Fn() + Send + Sync>;

impl Cancellation {
    /// One that ends each run after `limit`, too, if there is one.
    pub(crate) fn with_limit(limit: Option<Duration>) -> Self {
        Self(Arc::new(Shared { time_limit: limit.map(TimeLimit::new), ..Shared::default() }))
    }

    /// Ends the runs in progress and prevents later ones.
    pub(crate) fn cancel(&self) {
        // Set before reading the list, so that a run registered afterwards finds the flag set.
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        for (_, terminate) in self.0.runs.lock().iter() {
            terminate();
        }
    }

    /// A reference for whoever may cancel it while it is in use.
    pub(crate) fn downgrade(&self) -> WeakCancellation {
        WeakCancellation(Arc::downgrade(&self.0))
    }

    /// Whether both are clones of the same value.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether [`Self::cancel`] was called.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Returns an error if the query was cancelled.
    ///
    /// # Errors
    /// If the query was cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(DataFusionError::Execution("the query was cancelled".to_owned()));
        }
        Ok(())
    }

    /// Calls `terminate` if the returned value lives longer than a run may take; `None` if it may take any time.
    ///
    /// # Errors
    /// If the thread that measures can't be started.
    pub(in crate::model::runtime) fn limit(
        &self,
        terminate: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Option<LimitedRun<'_>>> {
        self.0.time_limit.as_ref().map(|limit| limit.begin(terminate)).transpose()
    }

    /// Calls `terminate` if the query is cancelled before the returned guard is dropped, never afterwards.
    ///
    /// # Errors
    /// If the query was cancelled already.
    pub(crate) fn register(&self, terminate: impl Fn() + Send + Sync + 'static) -> Result<Registered<'_>> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        self.0.runs.lock().push((id, Box::new(terminate)));
        let registered = Registered { cancellation: self, id };
        self.check()?;
        Ok(registered)
    }
}

/// Ends the runs of models when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct CancelOnDrop(pub(crate) Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("is_cancelled", &self.is_cancelled).finish_non_exhaustive()
    }
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Registered<'a> {
    cancellation: &'a Cancellation,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.cancellation.0.runs.lock().retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_in_progress_are_terminated() -> Result<()> {
        let terminated = Arc::new(Mutex::new(vec![]));
        let note = |name: &'static str| {
            let terminated = Arc::clone(&terminated);
            move || terminated.lock().push(name)
        };
        let cancellation = Cancellation::default();
        drop(cancellation.register(note("finished"))?);
        let running = cancellation.register(note("running"))?;
        cancellation.clone().cancel();
        drop(running);
        assert!(cancellation.check().is_err());
        assert!(cancellation.register(note("late")).is_err());
        cancellation.cancel();
        assert_eq!(*terminated.lock(), ["running", "late"][..1]);
        Ok(())
    }
}
