//! The threads that infer, counted, so that a process can wait for them before it ends.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A thread's stay in inference.
#[derive(Debug)]
pub(crate) struct Running(());

impl Running {
    pub(crate) fn begin() -> Self {
        *RUNNING.lock() += 1;
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *RUNNING.lock() -= 1;
        ENDED.notify_all();
    }
}

/// Waits until no thread of the process infers, but no longer than `most`; returns whether that came to be.
///
/// For the end of a program, after its queries are dropped: those stop before the next image, and the process must not
/// take ONNX Runtime's globals away from under the last one.
pub fn wait_for_inference(most: Duration) -> bool {
    let mut running = RUNNING.lock();
    !ENDED.wait_while_for(&mut running, |running| *running > 0, most).timed_out()
}
