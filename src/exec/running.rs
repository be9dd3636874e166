//! The inference in progress in this process, so that a program can end it and wait for it; and the end of the process.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::model::runtime::Cancellation;

static RUNNING: Mutex<Vec<Cancellation>> = Mutex::new(Vec::new());
static ENDED: Condvar = Condvar::new();

/// How long a cancelled run may take to end before runs are cancelled again, in case one has begun since.
const CANCEL_AGAIN: Duration = Duration::from_millis(10);

/// Registers a thread that infers, or holds what must not be freed while the process exits: sessions, and memory that a
/// GPU copies from. Until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Cancellation);

impl Running {
    pub(crate) fn begin(cancellation: &Cancellation) -> Self {
        RUNNING.lock().push(cancellation.clone());
        Self(cancellation.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = RUNNING.lock();
        if let Some(position) = running.iter().position(|cancellation| cancellation.is_same(&self.0)) {
            running.swap_remove(position);
        }
        ENDED.notify_all();
    }
}

/// Cancels all inference of the process and waits at most `most` for it to end; returns whether it has.
///
/// For programs that drop a query and go on: a call in a branch of CASE runs inside a poll, where dropping the query's
/// stream can't reach it. Those that end use [`exit`].
pub fn cancel_inference(most: Duration) -> bool {
    let deadline = Instant::now() + most;
    let mut running = RUNNING.lock();
    while !running.is_empty() {
        if Instant::now() >= deadline {
            return false;
        }
        running.iter().for_each(Cancellation::cancel);
        ENDED.wait_for(&mut running, CANCEL_AGAIN);
    }
    true
}

/// Ends the process with this exit status, without what C libraries have registered to run at its exit. Flushes nothing.
///
/// For programs that end while a query may still be at work: a thread that loads a model can't be stopped. Returning from
/// `main`, and [`std::process::exit`], free the globals of ONNX Runtime, of its providers and of the allocator while
/// other threads run, and one that loads or runs a model then ends the process by a segmentation fault or an abort.
pub fn exit(status: u8) -> ! {
    // SAFETY: any thread may call it at any time. No memory is freed, and no code of the process runs afterwards.
    #[expect(unsafe_code, reason = "the standard library's exit runs what is registered")]
    unsafe {
        nix::libc::_exit(i32::from(status))
    }
}
