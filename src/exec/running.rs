//! The inference in progress in this process, so that a program can end it and wait for it before it exits.

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
/// For programs that drop a query and then exit, or go on: the process must not unload ONNX Runtime's globals, or
/// CUDA's, during a run or while a worker frees its sessions and tensors, and a call in a branch of CASE runs inside a
/// poll, where dropping the query's stream can't reach it.
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
