//! Ctrl-C and SIGTERM, which a thread takes from the system for all.
//!
//! ```text
//!  every thread: blocked        thread `signals`: sigwait ─┬─► interrupt(), terminate(): whoever waits
//!                                                          └─► the system's default, until someone has
//! ```
//!
//! With a handler in its place, as tokio has, a library could put its own there: NVIDIA's compiler does so while it compiles
//! kernels for the first batches of a model, and that one ends the process with status 4, or with a crash, since it frees
//! globals while other threads use them. Signals that are blocked have no handler called.

use std::future::Future;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};
use tokio::sync::watch;

static INTERRUPTS: Caught = Caught::new();
static TERMINATIONS: Caught = Caught::new();

/// The arrivals of a signal.
#[derive(Debug)]
struct Caught {
    count: LazyLock<watch::Sender<u64>>,
    was_awaited: AtomicBool,
}

/// Has a thread take Ctrl-C and SIGTERM, for [`run`](super::run). A program calls it before it starts any other thread:
/// those that it has by then don't leave the signals to this one.
///
/// # Errors
/// If the system refuses it.
pub fn catch_signals() -> io::Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block()?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Ok(signal) = signals.wait() {
            let caught = if signal == Signal::SIGINT { &INTERRUPTS } else { &TERMINATIONS };
            if !caught.tell() {
                by_default(signal);
            }
        }
    })?;
    Ok(())
}

/// Completes with the next Ctrl-C.
pub(super) fn interrupt() -> impl Future<Output = ()> + Send + use<> {
    INTERRUPTS.next()
}

/// Completes with the next SIGTERM.
pub(super) fn terminate() -> impl Future<Output = ()> + Send + use<> {
    TERMINATIONS.next()
}

impl Caught {
    const fn new() -> Self {
        Self { count: LazyLock::new(|| watch::Sender::new(0)), was_awaited: AtomicBool::new(false) }
    }

    fn next(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut count = self.count.subscribe();
        self.was_awaited.store(true, Ordering::SeqCst);
        async move {
            // The sender is a static, so this ends with a signal alone.
            count.changed().await.ok();
        }
    }

    /// Tells those who wait; returns whether anyone ever has. From then on the signal alone ends nothing.
    fn tell(&self) -> bool {
        let was_awaited = self.was_awaited.load(Ordering::SeqCst);
        self.count.send_modify(|count| *count += 1);
        was_awaited
    }
}

/// Has the system do what it does for a signal without a handler, which ends the process unless who started it has it
/// ignored.
fn by_default(signal: Signal) {
    let own = SigSet::from(signal);
    if let Err(error) = own.thread_unblock().and_then(|()| raise(signal)).and_then(|()| own.thread_block()) {
        tracing::warn!("{signal} had no effect: {error}");
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn arrivals_reach_those_who_wait_by_then() {
        let caught = Caught::new();
        assert!(!caught.tell(), "nobody has waited");
        let (first, second) = (caught.next(), caught.next());
        assert!(caught.tell());
        assert!(first.now_or_never().is_some() && second.now_or_never().is_some());
        assert!(caught.next().now_or_never().is_none(), "that one was before");
        assert!(caught.tell(), "it waits no longer, but has");
    }
}
