//! What an executor does whose disk fails: it asks for no task for a while, so that others repeat those that failed.
//!
//! Ballista repeats a task up to three times after an error of a disk, and gives it to whoever asks first. That is the
//! executor at which it failed, since that has nothing else to do: a full disk would end the query.

use std::io::{Error as IoError, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ballista_core::error::BallistaError;
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long it asks for no task.
const PAUSE: Duration = Duration::from_secs(10);

/// The disk of an executor.
#[derive(Debug)]
pub(crate) struct Disk {
    /// One for each task that the executor runs at a time.
    slots: Arc<Semaphore>,
    cores: u32,
    long: Duration,
    pause: Mutex<JoinSet<()>>,
}

impl Disk {
    /// That of an executor of `cores` tasks at a time, which have these slots.
    pub(crate) fn new(slots: Arc<Semaphore>, cores: usize) -> Self {
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        Self { slots, cores, long: PAUSE, pause: Mutex::default() }
    }

    /// The error of a task; one of the disk as Ballista knows it, after which the executor pauses.
    pub(crate) async fn failed(&self, error: DataFusionError) -> DataFusionError {
        let Some(kind) = disk_error(&error).map(IoError::kind) else { return error };
        // A file that is missing, or may not be read, is not the disk's.
        if !matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied) {
            tracing::warn!(
                "the executor begins no task for {} s, since its disk fails: {error}",
                self.long.as_secs()
            );
            self.begin_pause().await;
        }
        DataFusionError::IoError(IoError::new(kind, error.to_string()))
    }

    /// Takes each slot as it gets free, first that of the task that calls it, and gives them back after a while.
    async fn begin_pause(&self) {
        let is_pausing = |pause: &mut JoinSet<()>| {
            while pause.try_join_next().is_some() {}
            !pause.is_empty()
        };
        if is_pausing(&mut self.pause.lock().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut all = Box::pin(Arc::clone(&self.slots).acquire_many_owned(self.cores));
        // Slots go to those that wait in their order. Ballista's loop must not be before this.
        let first = futures::poll!(all.as_mut());
        let long = self.long;
        let pause = async move {
            let slots = match first {
                Poll::Ready(slots) => slots,
                Poll::Pending => all.await,
            };
            sleep(long).await;
            drop(slots);
        };
        self.pause.lock().unwrap_or_else(PoisonError::into_inner).spawn(pause);
    }
}

/// The operating system's error in that of a task, if that is the cause.
fn disk_error(error: &DataFusionError) -> Option<&IoError> {
    match error.find_root() {
        DataFusionError::IoError(error) => Some(error),
        DataFusionError::ArrowError(error, _) => arrow_error(error),
        DataFusionError::External(error) => match error.downcast_ref()? {
            BallistaError::IoError(error) => Some(error),
            BallistaError::ArrowError(error) => arrow_error(error),
            BallistaError::DataFusionError(error) => disk_error(error),
            _ => None,
        },
        _ => None,
    }
}

fn arrow_error(error: &ArrowError) -> Option<&IoError> {
    match error {
        ArrowError::IoError(_, error) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> IoError {
        ErrorKind::StorageFull.into()
    }

    #[test]
    fn errors_of_the_disk_are_found_where_ballista_puts_them() {
        let arrow = || ArrowError::IoError(String::new(), full());
        let external = |error: BallistaError| DataFusionError::External(Box::new(error));
        let found = [
            DataFusionError::IoError(full()),
            DataFusionError::ArrowError(Box::new(arrow()), None).context("writing"),
            external(BallistaError::IoError(full())),
            external(BallistaError::ArrowError(Box::new(arrow()))),
            external(BallistaError::DataFusionError(Box::new(DataFusionError::IoError(full())))),
        ];
        for error in &found {
            assert_eq!(disk_error(error).map(IoError::kind), Some(ErrorKind::StorageFull), "{error}");
        }
        for error in [
            DataFusionError::Execution("No space left on device".to_owned()),
            external(BallistaError::FetchFailed(String::new(), 1, 1, String::new())),
        ] {
            assert!(disk_error(&error).is_none(), "{error}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_fails_takes_the_slots_as_they_get_free_and_gives_them_back() {
        let slots = Arc::new(Semaphore::new(2));
        let (ours, other) = (slots.try_acquire().unwrap(), slots.try_acquire().unwrap());
        let disk = Disk { long: Duration::from_millis(1), ..Disk::new(Arc::clone(&slots), 2) };
        for _ in 0..2 {
            let error = disk.failed(DataFusionError::IoError(full())).await;
            assert!(matches!(error, DataFusionError::IoError(_)), "{error}");
        }
        drop(ours);
        assert_eq!(slots.available_permits(), 0);
        drop(other);
        // The pause has them.
        assert_eq!(slots.available_permits(), 0);
        drop(slots.acquire_many(2).await.unwrap());
        assert_eq!(slots.available_permits(), 2);
    }

    #[tokio::test]
    async fn other_errors_pause_nothing() {
        let slots = Arc::new(Semaphore::new(1));
        let disk = Disk::new(Arc::clone(&slots), 1);
        let error = disk.failed(DataFusionError::IoError(ErrorKind::NotFound.into())).await;
        assert!(matches!(error, DataFusionError::IoError(_)), "{error}");
        let error = disk.failed(DataFusionError::Execution("no".to_owned())).await;
        assert!(matches!(error, DataFusionError::Execution(_)), "{error}");
        assert_eq!(slots.available_permits(), 1);
    }
}
