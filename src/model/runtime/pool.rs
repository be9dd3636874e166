//! The sessions of one model: loaded when first needed, used by one thread at a time, shared by the whole process.
//!
//! ```text
//!  take_seat() ── an idle session, or room to load one? ── no: wait until a seat is released
//!       │ yes: on the device with the fewest seats taken
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

/// The sessions of one model, as many at most on each of its devices as on any other, or one more.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug)]
struct State {
    devices: Vec<OnDevice>,
    /// The memory of each loaded session, idle or in use.
    loaded: Vec<Weak<Arenas>>,
    /// How often the pool was unloaded: a seat taken before the last time does not return its session.
    unloads: usize,
}

/// The sessions on one device.
#[derive(Debug)]
struct OnDevice {
    capacity: usize,
    taken: usize,
    idle: Vec<Session>,
}

impl Pool {
    /// At most `sessions` sessions, divided among `devices` devices.
    pub(crate) fn new(sessions: usize, devices: usize) -> Self {
        let (sessions, devices) = (sessions.max(1), devices.max(1));
        let capacity = |device| sessions / devices + usize::from(device < sessions % devices);
        let devices =
            (0..devices).map(|device| OnDevice { capacity: capacity(device), taken: 0, idle: vec![] });
        let state = State { devices: devices.collect(), loaded: vec![], unloads: 0 };
        Self { state: Mutex::new(state), released: Condvar::new() }
    }

    /// Takes a seat on the device with the fewest seats taken, with a loaded session if one is idle there; `None` if all are
    /// taken.
    pub(crate) fn free_seat(&self) -> Option<Seat<'_>> {
        self.seat(&mut self.state.lock())
    }

    /// Waits until a seat is free, then takes one as [`Self::free_seat`] does.
    ///
    /// # Errors
    /// The error of `check`, which ends the wait.
    pub(crate) fn take_seat<E>(&self, check: impl Fn() -> Result<(), E>) -> Result<Seat<'_>, E> {
        let mut state = self.state.lock();
        loop {
            if let Some(seat) = self.seat(&mut state) {
                return Ok(seat);
            }
            self.released.wait_for(&mut state, CHECK);
            check()?;
        }
    }

    fn seat(&self, state: &mut State) -> Option<Seat<'_>> {
        let unloads = state.unloads;
        let devices = state.devices.iter_mut().enumerate();
        let free = devices.filter(|(_, device)| device.taken < device.capacity);
        // Of equals one with an idle session, so that no session is loaded which is not needed.
        let (number, device) = free.min_by_key(|(_, device)| (device.taken, device.idle.is_empty()))?;
        device.taken += 1;
        Some(Seat { pool: self, device: number, session: device.idle.pop(), unloads })
    }

    /// A seat without a session, in which one more than there are can be loaded; `None` if all are there or are being loaded.
    #[cfg(feature = "cluster")]
    pub(crate) fn take_empty_seat(&self) -> Option<Seat<'_>> {
        let mut state = self.state.lock();
        let unloads = state.unloads;
        let has = |device: &OnDevice| device.taken + device.idle.len();
        let devices = state.devices.iter_mut().enumerate();
        let free = devices.filter(|(_, device)| has(device) < device.capacity);
        let (number, device) = free.min_by_key(|(_, device)| has(device))?;
        device.taken += 1;
        Some(Seat { pool: self, device: number, session: None, unloads })
    }

    /// Frees the idle sessions, and those in use as soon as they are released.
    pub(crate) fn unload(&self) {
        let mut state = self.state.lock();
        state.unloads += 1;
        let idle: Vec<_> = state.devices.iter_mut().map(|device| std::mem::take(&mut device.idle)).collect();
        drop(state);
        // Frees them without the lock, since it takes time.
        drop(idle);
    }

    /// The number of idle sessions on each device.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> Vec<usize> {
        self.state.lock().devices.iter().map(|device| device.idle.len()).collect()
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
    /// The position of its device among those of the model.
    device: usize,
    session: Option<Session>,
    /// The pool's `unloads` when the seat was taken.
    unloads: usize,
}

impl Seat<'_> {
    /// The seat's session, loaded by `load` on the device of that position if none was idle.
    ///
    /// # Errors
    /// The error of `load`; the seat stays usable.
    pub(crate) fn session(&mut self, load: impl FnOnce(usize) -> Result<Session>) -> Result<&mut Session> {
        match &mut self.session {
            Some(session) => Ok(session),
            empty => {
                let session = empty.insert(load(self.device)?);
                let loaded = &mut self.pool.state.lock().loaded;
                loaded.retain(|arenas| arenas.strong_count() > 0);
                loaded.push(Arc::downgrade(session.arenas()));
                Ok(session)
            }
        }
    }

    /// Frees the seat's session and loads another in its place.
    ///
    /// # Errors
    /// The error of `load`; the seat stays usable.
    pub(crate) fn replace(&mut self, load: impl FnOnce(usize) -> Result<Session>) -> Result<&mut Session> {
        self.session = None;
        self.session(load)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        let is_kept = state.unloads == self.unloads;
        let device = &mut state.devices[self.device];
        device.taken -= 1;
        if is_kept {
            device.idle.extend(self.session.take());
        }
        drop(state);
        self.pool.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &Pool) -> Option<Seat<'_>> {
        pool.take_seat(|| Err(())).ok()
    }

    #[test]
    fn seats_are_spread_over_the_devices() {
        let pool = Pool::new(5, 3);
        let mut seats: Vec<_> = (0..5).map(|_| take(&pool).unwrap()).collect();
        assert_eq!(seats.iter().map(|seat| seat.device).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
        assert!(take(&pool).is_none());
        seats.remove(2);
        assert_eq!(take(&pool).unwrap().device, 2);
        let released: Vec<_> = seats.drain(..2).collect();
        drop(released);
        assert_eq!(take(&pool).unwrap().device, 2, "the others have one taken, and this none");
    }

    #[test]
    #[cfg(feature = "cluster")]
    fn as_many_seats_are_empty_as_sessions_are_missing() {
        let pool = Pool::new(3, 2);
        let other = take(&pool).unwrap();
        let empty: Vec<_> = std::iter::from_fn(|| pool.take_empty_seat()).collect();
        assert_eq!(empty.iter().map(|seat| seat.device).collect::<Vec<_>>(), [1, 0]);
        assert!(take(&pool).is_none(), "a seat in which a session is loaded is taken");
        drop((empty, other));
        assert!(pool.take_empty_seat().is_some());
    }

    #[test]
    fn fewer_sessions_than_devices_leave_some_out() {
        let pool = Pool::new(1, 4);
        let seat = take(&pool).unwrap();
        assert!(seat.device == 0 && take(&pool).is_none());
        drop(seat);
        assert!(take(&Pool::new(0, 0)).is_some(), "there is one in any case");
    }
}
