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
    /// A folder that can't be written; those of [`Self::committed`].
    pub(super) async fn stage(&self, stored: Count) -> Result<Arc<StagedStore>> {
        let (store, prefix) = (Arc::clone(&self.store), part_prefix(&self.run));
        let staged = StagedStore::open_part_of_run(&self.target, store, stored, prefix, &self.run).await?;
        // Who ends the run removes the hidden folders that are there. One that is made after that is removed here.
        self.committed().await?;
        Ok(Arc::new(staged))
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
        let mut log = self.log.lock().await;
        log.catch_up().await?;
        if let Some(rows) = self.found(&log)? {
            return Ok(rows);
        }
        let keys = log.put_keys(&name, &finished.hashes).await?;
        let errors = log.put_errors(&name, &finished.failed).await?;
        let other_errors = log.put_errors(&format!("{name}-others"), others).await?;
        let known = log.entries().len();
        // It takes longer than an entry, for which other tasks of this process wait.
        drop(log);
        let mut locations = vec![];
        if let Some(part) = part {
            part.commit_durably().await?;
            locations = part.locations();
        }
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
        let mut log = self.log.lock().await;
        // Other tasks of this process have read on since.
        let appended = match log.entries().iter().skip(known).any(against) {
            true => Appended::Taken,
            false => log.append_after(&entry, against).await?,
        };
        match appended {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use datafusion::object_store::local::LocalFileSystem;
    use datafusion::object_store::memory::InMemory;

    use super::*;
    use crate::resume::StatementRecord;
    use crate::write::parts::folder::open_log;

    fn start(run: &str) -> Entry {
        let statement = StatementRecord {
            version: String::new(),
            query: None,
            plan: String::new(),
            images: String::new(),
            key: vec![],
            partitions: vec![],
            settings: [].into(),
            models: [].into(),
        };
        Entry::Start { statement: Box::new(statement), run: run.to_owned(), process: 1, time: 1 }
    }

    /// A statement's folder, on two executors.
    struct Shared {
        store: Arc<dyn ObjectStore>,
        target: Target,
        executors: [TaskLogs; 2],
    }

    impl Shared {
        async fn begun(run: &str) -> Result<Self> {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let target = Target::sent("out/".to_owned(), "memory:///out/", "parquet".to_owned())?;
            let shared = Self { store, target, executors: Default::default() };
            shared.append(start(run)).await?;
            Ok(shared)
        }

        async fn append(&self, entry: Entry) -> Result<Appended> {
            open_log(&self.target, &self.store).await?.append(entry).await
        }

        async fn task(&self, executor: usize, task: u64) -> Result<TaskFolder> {
            let (store, logs) = (Arc::clone(&self.store), &self.executors[executor]);
            TaskFolder::open(self.target.clone(), store, logs, "a".to_owned(), task).await
        }

        async fn rows(&self) -> Result<u64> {
            Ok(open_log(&self.target, &self.store).await?.rows(None))
        }
    }

    /// Commits so many rows.
    async fn commit(folder: &TaskFolder, rows: u64) -> Result<u64> {
        let hashes = (0..u128::from(rows)).collect();
        let finished = Finished { hashes, skipped: 0, failed: vec![] };
        folder.commit(None, rows, 1, (&finished, &[])).await
    }

    #[tokio::test]
    async fn a_task_that_two_executors_do_counts_once() -> Result<()> {
        let shared = Shared::begun("a").await?;
        let (first, again) = (shared.task(0, 7).await?, shared.task(1, 7).await?);
        assert_eq!((first.committed().await?, again.committed().await?), (None, None));
        assert_eq!(commit(&first, 3).await?, 3);
        // Another task of the second executor reads what the first has written.
        assert_eq!(commit(&shared.task(1, 8).await?, 5).await?, 5);
        assert_eq!(commit(&again, 4).await?, 3);
        assert_eq!((shared.rows().await?, shared.task(1, 7).await?.committed().await?), (8, Some(3)));
        assert_eq!(open_log(&shared.target, &shared.store).await?.left().await?, []);
        Ok(())
    }

    #[tokio::test]
    async fn a_task_of_a_run_that_is_over_commits_nothing() -> Result<()> {
        let end = Entry::End { run: "a".to_owned(), is_complete: false, time: 1 };
        for (entry, reason) in [(start("b"), "another process has begun"), (end, "has ended")] {
            let shared = Shared::begun("a").await?;
            let late = shared.task(0, 1).await?;
            assert_eq!(late.committed().await?, None);
            shared.append(entry).await?;
            let error = commit(&late, 3).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert_eq!(shared.rows().await?, 0);
        }
        let shared = Shared::begun("b").await?;
        assert!(shared.task(0, 1).await?.committed().await.is_err());
        Ok(())
    }

    #[tokio::test]
    async fn a_task_that_begins_to_write_after_the_end_leaves_nothing() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_string_lossy();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new());
        let target = Target::sent("out/".to_owned(), &format!("file://{path}/"), "parquet".to_owned())?;
        let shared = Shared { store, target, executors: Default::default() };
        fs::create_dir(folder.path().join("_seequel"))?;
        shared.append(start("a")).await?;
        let hidden = || {
            let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().starts_with('.')).count()
        };
        let (early, late) = (shared.task(0, 1).await?, shared.task(0, 2).await?);
        assert_eq!(late.committed().await?, None);
        let staged = early.stage(Count::new()).await?;
        assert_eq!(hidden(), 1);
        drop(staged);
        shared.append(Entry::End { run: "a".to_owned(), is_complete: true, time: 1 }).await?;
        let error = late.stage(Count::new()).await.unwrap_err().to_string();
        assert!(error.contains("has ended"), "{error}");
        assert_eq!(hidden(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_log_that_was_removed_or_is_not_there_gets_no_entry() -> Result<()> {
        let shared = Shared::begun("a").await?;
        let late = shared.task(0, 1).await?;
        let first = open_log(&shared.target, &shared.store).await?.places(["00000001.json".to_owned()]);
        delete(shared.store.as_ref(), first).await?;
        let error = commit(&late, 3).await.unwrap_err().to_string();
        assert!(error.contains("the log was removed or replaced"), "{error}");
        let error = commit(&shared.task(1, 1).await?, 3).await.unwrap_err().to_string();
        assert!(error.contains("must share the folder"), "{error}");
        assert!(open_log(&shared.target, &shared.store).await?.entries().is_empty());
        Ok(())
    }
}
