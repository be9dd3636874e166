//! The primitives of parking_lot, async-channel and DataFusion that the files under test use, on shuttle's.

use std::cell::Cell;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use real_async_channel::{RecvError, SendError};
use shuttle::future::JoinHandle;
use shuttle::sync;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { held: Some(self.0.lock().unwrap()), mutex: &self.0 }
    }
}

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    /// `None` only while its thread waits for a notification.
    held: Option<sync::MutexGuard<'a, T>>,
    mutex: &'a sync::Mutex<T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().unwrap()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

thread_local! {
    /// Shuttle runs the threads of a test on one of the system's.
    static EXPIRES: Cell<bool> = const { Cell::new(false) };
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Waits for a notification; not for the time, unless [`expire_waits`] is set.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _time: Duration) {
        let held = guard.held.take().unwrap();
        guard.held = Some(if EXPIRES.get() {
            drop(held);
            shuttle::thread::yield_now();
            guard.mutex.lock().unwrap()
        } else {
            self.0.wait(held).unwrap()
        });
    }
}

/// Whether waits end after some time, notified or not.
pub(crate) fn expire_waits(expire: bool) {
    EXPIRES.set(expire);
}

pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = real_async_channel::bounded(capacity);
    (Sender(sender), Receiver(receiver))
}

#[derive(Debug)]
pub(crate) struct Sender<T>(real_async_channel::Sender<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Sender<T> {
    pub(crate) async fn send(&self, message: T) -> Result<(), SendError<T>> {
        switch();
        self.0.send(message).await
    }
}

#[derive(Debug)]
pub(crate) struct Receiver<T>(real_async_channel::Receiver<T>);

impl<T> Receiver<T> {
    pub(crate) async fn recv(&self) -> Result<T, RecvError> {
        switch();
        let received = self.0.recv().await;
        switch();
        received
    }

    pub(crate) fn is_closed(&self) -> bool {
        switch();
        self.0.is_closed()
    }

    pub(crate) fn len(&self) -> usize {
        switch();
        self.0.len()
    }
}

/// Lets another thread take its turn.
fn switch() {
    sync::atomic::AtomicBool::new(false).load(sync::atomic::Ordering::SeqCst);
}

/// Tasks that are aborted when it is dropped.
#[derive(Debug)]
pub(crate) struct JoinSet<T>(Vec<JoinHandle<T>>);

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: 'static> JoinSet<T> {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl<T: Send + 'static> JoinSet<T> {
    pub(crate) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.0.push(shuttle::future::spawn(task));
    }

    /// A task that panics ends the test.
    pub(crate) async fn join_next(&mut self) -> Option<Result<T, tokio::task::JoinError>> {
        Some(Ok(self.0.pop()?.await.unwrap()))
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
