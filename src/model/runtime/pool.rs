//! The sessions of one model: loaded when first needed, used by one thread at a time, shared by the whole process.
//!
//! ```text
//!  take_seat() ── an idle session, or room to load one? ── no: wait until a seat is released
//!       │ yes
//!  Seat::session(load) ──► &mut Session ── seat dropped ──► the session is idle again
//! ```
//!
//! Taking a seat blocks, so call it only on threads that may block. The holder of a seat computes and waits for nothing
//! else, so there is no deadlock.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::session::Session;
use crate::Result;

/// How often a thread that waits for a seat checks whether its query was cancelled.
const CHECK: Duration = Duration::from_millis(50);

/// At most `capacity` sessions of one model.
#[derive(Debug)]
pub(crate) struct Pool {
    capacity: usize,
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Session>,
    taken: usize,
}

impl Pool {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default(), released: Condvar::new() }
    }

    /// Waits until fewer than `capacity` seats are taken, then takes one, with a loaded session if one is idle.
    ///
    /// # Errors
    /// The error of `check`, which ends the wait.
    pub(crate) fn take_seat<E>(&self, check: impl Fn() -> Result<(), E>) -> Result<Seat<'_>, E> {
        let mut state = self.state.lock();
        while state.taken >= self.capacity {
            self.released.wait_for(&mut state, CHECK);
            check()?;
        }
        state.taken += 1;
        Ok(Seat { pool: self, session: state.idle.pop() })
    }
}

/// Exclusive use of one session; dropping it returns the session to the pool.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Seat<'_> {
    /// The seat's session, loaded by `load` if none was idle.
    ///
    /// # Errors
    /// The error of `load`; the seat stays usable.
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
        self.pool.released.notify_one();
    }
}
