//! How a task commits its part.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::object_store::ObjectStore;
use datafusion::physical_plan::metrics::Count;
use tokio::sync::Mutex;

use super::folder::{delete, overtaken, part_prefix, relative};
use super::part::Finished;
use super::task_logs::TaskLogs;
use crate::failures::FailedRow;
use crate::resume::{Appended, Entry, Log, now_millis};
use crate::write::files::{StagedStore, Target};

/// A task of a run, in the folder that it writes to.
#[derive(Debug)]
pub(super) struct TaskFolder {
    pub(super) target: Target,
    pub(super) store: Arc<dyn ObjectStore>,
    log: Arc<Mutex<Log>>,
    run: String,
    task: u64,
}

impl TaskFolder {
    /// # Errors
    /// Those of the store; a log that is damaged.
    pub(super) async fn open(
        target: Target,
        store: Arc<dyn ObjectStore>,
        logs: &TaskLogs,
        run: String,
        task: u64,
    ) -> Result<Self> {
        let log = logs.open(&target, &store, &run).await?;
        Ok(Self { target, store, log, run, task })
    }

    /// The rows of the task, if they are committed already.
    ///
    /// # Errors
    /// A run that has ended, or that another follows; those of the log.
    pub(super) async fn committed(&self) -> Result<Option<u64>> {
        let mut log = self.log.lock().await;
        log.catch_up().await?;
        self.found(&log)
    }

    /// As [`Self::committed`], by what is known of the log.
    fn found(&self, log: &Log) -> Result<Option<u64>> {
        let Self { target, run, task, .. } = self;
        let committed = log.entries().iter().find(|entry| entry.is_of_task(run, *task));
        if let Some(Entry::Commit { rows, .. }) = committed {
            return Ok(Some(*rows));
        }
        let last = log.entries().iter().rev().find_map(|entry| match entry {
            Entry::Start { run, .. } => Some(run),
            _ => None,
        });
        match last {
            Some(last) if last == run => {}
            Some(_) => return Err(overtaken(target)),
            None => {
                return Err(target.refused(
                    "this machine does not find what the statement has begun to write there; all machines of a cluster \
                     must share the folder",
                ));
            }
        }
        match log.entries().iter().any(|entry| entry.ends(run)) {
            true => {
                Err(target.refused("the statement that this task is of has ended; what is committed stays"))
            }
            false => Ok(None),
        }
    }

    /// A store for the files of the part.
    ///
    /// # Errors
    /// A folder that can't be written.
    pub(super) async fn stage(&self, stored: Count) -> Result<Arc<StagedStore>> {
        let (store, prefix) = (Arc::clone(&self.store), part_prefix(&self.run));
        let staged = StagedStore::open_part_of_run(&self.target, store, stored, prefix, &self.run);
        staged.await.map(Arc::new)
    }

    /// Puts the files of the part, if it has any, in their place, and the part into the log. Returns the rows that are
    /// committed: those of another process, if that was first.
    ///
    /// # Errors
    /// Those of the store and the operating system, after which the entry may be in the log or not; those of
    /// [`Self::committed`].
    pub(super) async fn commit(
        &self,
        part: Option<&StagedStore>,
        rows: u64,
        bytes: u64,
        (finished, others): (&Finished, &[FailedRow]),
    ) -> Result<u64> {
        let Self { target, run, task, .. } = self;
        // A process that does the same work has other names.
        let name = format!("{run}-{:016x}", RandomState::new().hash_one(task));
        let mut locations = vec![];
        if let Some(part) = part {
            part.commit_durably().await?;
            locations = part.locations();
        }
        let mut log = self.log.lock().await;
        let keys = log.put_keys(&name, &finished.hashes).await?;
        let errors = log.put_errors(&name, &finished.failed).await?;
        let other_errors = log.put_errors(&format!("{name}-others"), others).await?;
        let entry = Entry::Commit {
            run: run.clone(),
            rows,
            skipped: finished.skipped,
            bytes,
            files: locations.iter().filter_map(|location| relative(target, location)).collect(),
            keys,
            errors,
            task: Some(*task),
            other_errors,
            time: now_millis(),
        };
        let against = |other: &Entry| other.is_start() || other.ends(run) || other.is_of_task(run, *task);
        match log.append_after(&entry, against).await? {
            Appended::Yes => Ok(rows),
            Appended::Taken => {
                let found = self.found(&log);
                locations.extend(log.places(entry.files_of_log().map(ToOwned::to_owned)));
                delete(self.store.as_ref(), locations).await?;
                found?.ok_or_else(|| overtaken(target))
            }
        }
    }
}
