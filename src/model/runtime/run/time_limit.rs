//! Ends runs that take too long.
//!
//! ```text
//!  begin(terminate) ─► runs in progress, oldest first ─► thread: sleeps until the first is due ─► terminate
//!  LimitedRun dropped ─► out of the list
//! ```
//!
//! All runs have the same limit, so they are due in the order in which they began. The thread never sleeps longer than
//! the limit, so a run that begins needs not wake it: short runs cost a lock.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The longest that a run may take, for the runs of one worker.
pub(in crate::model::runtime) struct TimeLimit {
    limit: Duration,
    runs: Arc<Runs>,
}

#[derive(Default)]
struct Runs {
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Default)]
struct State {
    has_thread: bool,
    is_closed: bool,
    in_progress: VecDeque<InProgress>,
}

struct InProgress {
    due: Instant,
    is_over: Arc<AtomicBool>,
    terminate: Box<dyn Fn() + Send + Sync>,
}

/// A run in progress; it is not terminated after this is dropped.
pub(in crate::model::runtime) struct LimitedRun<'a> {
    runs: &'a Runs,
    limit: Duration,
    is_over: Arc<AtomicBool>,
}

impl TimeLimit {
    pub(in crate::model::runtime) fn new(limit: Duration) -> Self {
        Self { limit, runs: Arc::default() }
    }

    /// Calls `terminate` if the returned value lives longer than the limit.
    ///
    /// # Errors
    /// If the thread that measures can't be started.
    pub(in crate::model::runtime) fn begin(
        &self,
        terminate: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<LimitedRun<'_>> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut state = self.runs.state.lock();
        if !state.has_thread {
            let (runs, limit) = (Arc::clone(&self.runs), self.limit);
            thread::Builder::new().name("time limit".to_owned()).spawn(move || runs.end_late(limit))?;
            state.has_thread = true;
        }
        let terminate = Box::new(terminate);
        let due = Instant::now() + self.limit;
        state.in_progress.push_back(InProgress { due, is_over: Arc::clone(&is_over), terminate });
        Ok(LimitedRun { runs: &self.runs, limit: self.limit, is_over })
    }
}

impl Runs {
    /// Ends each run that is due, until there is no one left who could begin one.
    fn end_late(&self, limit: Duration) {
        let mut state = self.state.lock();
        while !state.is_closed {
            let now = Instant::now();
            while let Some(late) = state.in_progress.pop_front_if(|run| run.due <= now) {
                late.is_over.store(true, Ordering::SeqCst);
                (late.terminate)();
            }
            let next = state.in_progress.front().map_or(now + limit, |run| run.due);
            self.closed.wait_until(&mut state, next);
        }
    }
}

impl LimitedRun<'_> {
    /// Ends the watch; returns the limit if the run has reached it.
    pub(in crate::model::runtime) fn end(self) -> Option<Duration> {
        let (limit, is_over) = (self.limit, Arc::clone(&self.is_over));
        // Afterwards it is not terminated any more.
        drop(self);
        is_over.load(Ordering::SeqCst).then_some(limit)
    }
}

impl Drop for LimitedRun<'_> {
    fn drop(&mut self) {
        let in_progress = &mut self.runs.state.lock().in_progress;
        in_progress.retain(|run| !Arc::ptr_eq(&run.is_over, &self.is_over));
    }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        self.runs.state.lock().is_closed = true;
        self.runs.closed.notify_all();
    }
}

impl fmt::Debug for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeLimit").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_late_runs_are_ended() {
        let limit = TimeLimit::new(Duration::from_millis(30));
        let ended = Arc::new(Mutex::new(vec![]));
        let note = |name: &'static str| {
            let ended = Arc::clone(&ended);
            move || ended.lock().push(name)
        };
        drop(limit.begin(note("finished")).unwrap());
        let (first, second) = (limit.begin(note("first")).unwrap(), limit.begin(note("second")).unwrap());
        assert_eq!(second.end(), None);
        while !first.is_over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        let runs = Arc::downgrade(&limit.runs);
        assert_eq!(first.end(), Some(Duration::from_millis(30)));
        drop(limit);
        // The thread ends with it.
        while runs.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(*ended.lock(), ["first"]);
    }
}
