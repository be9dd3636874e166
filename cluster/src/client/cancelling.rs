//! Jobs that are being cancelled while the process may be about to end.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The jobs that are being cancelled.
static CANCELLING: Mutex<usize> = Mutex::new(0);
static CANCELLED: Condvar = Condvar::new();

/// One of the jobs that are being cancelled.
pub(super) struct Cancelling;

impl Cancelling {
    /// Counts one until this is dropped.
    pub(super) fn begin() -> Self {
        *CANCELLING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        *CANCELLING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        CANCELLED.notify_all();
    }
}

/// Waits until the schedulers know of all jobs of dropped streams that these are cancelled, at most `within`: before the
/// process ends, or its runtime. Blocks.
pub fn finish_cancelling(within: Duration) {
    let end = Instant::now() + within;
    let mut pending = CANCELLING.lock().unwrap_or_else(PoisonError::into_inner);
    while *pending > 0 {
        let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            return;
        };
        (pending, _) = CANCELLED.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner);
    }
}
