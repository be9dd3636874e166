//! The sessions of one model: loaded when first needed, used by one thread at a time, shared by the whole process.
//!
//! ```text
//!  take_seat() ── an idle session, or room to load one? ── no: wait until a seat is released
//!       │ yes
//!  Seat::session(load) ──► &mut Session ── seat dropped ──► the session is idle again, or freed after unload()
//! ```
//!
//! Taking a seat blocks, so call it only on threads that may block. The holder of a seat computes and waits for nothing
//! else, so there is no deadlock.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::memory::Arenas;
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
    /// The memory of each loaded session, idle or in use.
    loaded: Vec<Weak<Arenas>>,
    /// How often the pool was unloaded: a seat taken before the last time does not return its session.
    unloads: usize,
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
        Ok(Seat { pool: self, session: state.idle.pop(), unloads: state.unloads })
    }

    /// Frees the idle sessions, and those in use as soon as they are released.
    pub(crate) fn unload(&self) {
        let mut state = self.state.lock();
        state.unloads += 1;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        // Frees them without the lock, since it takes time.
        drop(idle);
    }

    /// The memory of each loaded session, idle or in use.
    pub(crate) fn loaded(&self) -> Vec<Arc<Arenas>> {
        self.state.lock().loaded.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Exclusive use of one session; dropping it returns the session to the pool.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pool: &'a Pool,
    session: Option<Session>,
    /// The pool's `unloads` when the seat was taken.
    unloads: usize,
}

impl Seat<'_> {
    /// The seat's session, loaded by `load` if none was idle.
    ///
    /// # Errors
    /// The error of `load`; the seat stays usable.
    pub(crate) fn session(&mut self, load: impl FnOnce() -> Result<Session>) -> Result<&mut Session> {
        match &mut self.session {
            Some(session) => Ok(session),
            empty => {
                let session = empty.insert(load()?);
                let loaded = &mut self.pool.state.lock().loaded;
                loaded.retain(|arenas| arenas.strong_count() > 0);
                loaded.push(Arc::downgrade(session.arenas()));
                Ok(session)
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.taken -= 1;
        if state.unloads == self.unloads {
            state.idle.extend(self.session.take());
        }
        drop(state);
        self.pool.released.notify_one();
    }
}
