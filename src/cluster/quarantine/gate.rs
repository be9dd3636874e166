//! Lets one worker work alone, and otherwise all of them.

use std::sync::Arc;
use std::time::Duration;

use datafusion::error::Result;
use parking_lot::{Condvar, Mutex};

/// Between two looks whether the query goes on.
const CHECKED_EVERY: Duration = Duration::from_millis(50);

/// The workers that have something in hand.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    /// Whether the one inside is alone.
    is_alone: bool,
    /// Those that wait to be alone, for whom others make way.
    waiting: usize,
}

impl Gate {
    /// Waits until a worker may begin, before it holds any memory; an error of `check` ends the wait.
    ///
    /// # Errors
    /// Those of `check`.
    pub(super) fn enter(self: Arc<Self>, is_alone: bool, check: &dyn Fn() -> Result<()>) -> Result<Inside> {
        let mut state = self.state.lock();
        state.waiting += usize::from(is_alone);
        let entered = loop {
            let is_open = if is_alone { state.inside == 0 } else { !state.is_alone && state.waiting == 0 };
            if is_open {
                state.inside += 1;
                state.is_alone = is_alone;
                break Ok(());
            }
            if let Err(error) = check() {
                break Err(error);
            }
            self.opened.wait_for(&mut state, CHECKED_EVERY);
        };
        state.waiting -= usize::from(is_alone);
        drop(state);
        if entered.is_err() {
            self.opened.notify_all();
        }
        entered.map(|()| Inside(self))
    }
}

/// A worker that has begun, until it is dropped.
#[derive(Debug)]
pub(super) struct Inside(Arc<Gate>);

impl Drop for Inside {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.inside -= 1;
        state.is_alone = false;
        drop(state);
        self.0.opened.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;

    #[test]
    fn whoever_is_alone_is_alone() {
        let (gate, inside) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            for worker in 0..4 {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || {
                    for round in 0..200 {
                        let is_alone = (worker + round) % 5 == 0;
                        let entered = Arc::clone(gate).enter(is_alone, &|| Ok(())).unwrap();
                        let others = inside.fetch_add(1, SeqCst);
                        assert!(!is_alone || others == 0);
                        thread::yield_now();
                        assert!(!is_alone || inside.load(SeqCst) == 1);
                        inside.fetch_sub(1, SeqCst);
                        drop(entered);
                    }
                });
            }
        });
    }

    #[test]
    fn a_query_that_has_ended_does_not_wait() {
        let gate = Arc::new(Gate::default());
        let entered = Arc::clone(&gate).enter(true, &|| Ok(())).unwrap();
        let ended = || datafusion::common::exec_err!("ended");
        assert!(Arc::clone(&gate).enter(false, &ended).is_err());
        assert!(Arc::clone(&gate).enter(true, &ended).is_err());
        drop(entered);
        assert!(gate.enter(false, &ended).is_ok());
    }
}
