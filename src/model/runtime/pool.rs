//! The sessions of one model: loaded when first needed, used by one thread at a time, shared by the whole process.
//!
//! ```text
//!  take_seat() ── an idle session, or leave to load one? ── no: wait until a seat is given up
//!       │ yes
//!  Seat::session(load) ──► &mut Session ── seat dropped ──► the session is idle again
//! ```
//!
//! Taking a seat blocks, so it belongs on threads that may block. Whoever has one computes and waits for nothing
//! else, which is why waiting for one always ends.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::session::Session;
use crate::Result;

/// How long a thread waits for a seat before it looks whether its query was cancelled.
const CHECK: Duration = Duration::from_millis(50);

/// At most `capacity` sessions of one model.
#[derive(Debug)]
pub(crate) struct Pool {
    capacity: usize,
    state: Mutex<State>,
    given_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Session>,
    taken: usize,
}

impl Pool {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default(), given_up: Condvar::new() }
    }

    /// Waits until fewer than `capacity` seats are taken, then takes one. Prefers a session that is loaded.
    ///
    /// # Errors
    /// Those of `check`, which ends the waiting.
    pub(crate) fn take_seat<E>(&self, check: impl Fn() -> Result<(), E>) -> Result<Seat<'_>, E> {
        let mut state = self.state.lock();
        while state.taken >= self.capacity {
            self.given_up.wait_for(&mut state, CHECK);
            check()?;
        }
        state.taken += 1;
        Ok(Seat { pool: self, session: state.idle.pop() })
    }
}

/// The right to use one session; dropping it gives the session back to the pool.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Seat<'_> {
    /// The seat's session, loaded by `load` if the pool had none idle.
    ///
    /// # Errors
    /// Those of `load`; the seat can be used again.
    pub(crate) fn session(&mut self, load: impl FnOnce() -> Result<Session>) -> Result<&mut Session> {
        match &mut self.session {
            Some(session) => Ok(session),
            empty => Ok(empty.insert(load()?)),
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.taken -= 1;
        state.idle.extend(self.session.take());
        drop(state);
        self.pool.given_up.notify_one();
    }
}
