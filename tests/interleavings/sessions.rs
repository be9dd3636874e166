//! The pool of sessions: no more seats than its capacity, one user for each session, nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libtest_mimic::Trial;
use shuttle::thread;

use self::pool::Pool;
use self::session::Session;
use crate::primitives::expire_waits;
use crate::{in_all_orders, in_random_orders};

#[expect(dead_code, reason = "the engine uses more of it")]
#[path = "../../src/model/runtime/pool.rs"]
mod pool;

/// Stands for the memory of a session.
mod memory {
    #[derive(Debug)]
    pub(crate) struct Arenas;
}

/// Stands for a session, which takes ONNX Runtime and a model.
mod session {
    use std::sync::Arc;

    use super::memory::Arenas;

    #[derive(Debug)]
    pub(crate) struct Session {
        arenas: Arc<Arenas>,
        pub(crate) device: usize,
    }

    impl Session {
        pub(crate) fn new(device: usize) -> Self {
            Self { arenas: Arc::new(Arenas), device }
        }

        pub(crate) fn arenas(&self) -> &Arc<Arenas> {
            &self.arenas
        }
    }
}

pub(crate) fn suite() -> Vec<Trial> {
    vec![
        in_all_orders("sessions::two_threads_share_a_session", || share(2, 1, 1, 1)),
        in_random_orders("sessions::threads_share_sessions_of_devices", 3_000, || share(5, 2, 3, 2)),
        in_all_orders("sessions::unloading_frees_sessions_in_use", unload),
        in_random_orders("sessions::a_cancelled_thread_stops_waiting", 1_000, cancel),
    ]
}

/// Each of `threads` takes a seat so many `times`. Every wait must end by a notification.
fn share(threads: usize, times: usize, sessions: usize, devices: usize) {
    expire_waits(false);
    let pool = Arc::new(Pool::new(sessions, devices));
    let taken: Arc<Vec<_>> = Arc::new((0..devices).map(|_| AtomicUsize::new(0)).collect());
    let users = (0..threads).map(|_| {
        let (pool, taken) = (Arc::clone(&pool), Arc::clone(&taken));
        thread::spawn(move || {
            for _ in 0..times {
                let mut seat = pool.take_seat(|| Ok::<_, ()>(())).unwrap();
                let session = seat.session(|device| Ok(Session::new(device))).unwrap();
                let users = &taken[session.device];
                let before = users.fetch_add(1, Ordering::Relaxed);
                assert!(before < sessions.div_ceil(devices), "too many seats on device {}", session.device);
                thread::yield_now();
                users.fetch_sub(1, Ordering::Relaxed);
            }
        })
    });
    users.collect::<Vec<_>>().into_iter().for_each(|user| user.join().unwrap());
    let loaded = pool.loaded().len();
    assert!((1..=sessions).contains(&loaded), "{loaded} sessions are loaded");
    pool.unload();
    assert_eq!(pool.loaded().len(), 0, "all were idle");
}

/// A session that is in use while the pool is unloaded has no later user.
fn unload() {
    expire_waits(false);
    let pool = Arc::new(Pool::new(1, 1));
    let in_use = Arc::new(AtomicBool::new(false));
    let user = thread::spawn({
        let (pool, in_use) = (Arc::clone(&pool), Arc::clone(&in_use));
        move || {
            let mut seat = pool.take_seat(|| Ok::<_, ()>(())).unwrap();
            seat.session(|device| Ok(Session::new(device))).unwrap();
            in_use.store(true, Ordering::Relaxed);
            thread::yield_now();
            in_use.store(false, Ordering::Relaxed);
        }
    });
    let before = in_use.load(Ordering::Relaxed);
    pool.unload();
    let throughout = before && in_use.load(Ordering::Relaxed);
    user.join().unwrap();
    assert!(!throughout || pool.loaded().is_empty(), "the session was kept");
}

/// A thread whose query is cancelled while it waits leaves the others their turns.
fn cancel() {
    expire_waits(true);
    let pool = Arc::new(Pool::new(1, 1));
    let users = [false, true, false, true].map(|is_cancelled| {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            let seat = pool.take_seat(|| if is_cancelled { Err(()) } else { Ok(()) });
            assert!(seat.is_ok() || is_cancelled);
            thread::yield_now();
        })
    });
    users.into_iter().for_each(|user| user.join().unwrap());
    assert!(pool.take_seat(|| Err(())).is_ok(), "all seats are free");
}
