//! The folder of a resumable statement: one process at a time writes there, and only parts that are in the log stay.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{Error as StoreError, ObjectStore};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::part::Finished;
use crate::resume::{Appended, Entry, LOG_FOLDER, Lock, Log, StatementRecord, Unlocked, now_millis};
use crate::write::files::{StagedStore, Target, count_files, counted, remove_hidden};

/// Begins the names of parts, before the run that wrote them.
const PART: &str = "part-";

/// A folder that this process may write to.
#[derive(Debug)]
pub(super) struct Folder {
    target: Target,
    store: Arc<dyn ObjectStore>,
    log: Log,
    run: String,
    _lock: Lock,
}

/// Who writes the parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// This process.
    One,
    /// The tasks of a cluster.
    #[cfg(feature = "cluster")]
    Tasks,
}

impl Folder {
    /// Locks the folder `target` for `statement`, begins a run of it, and removes what killed processes have left.
    ///
    /// # Errors
    /// Another process that writes there; files that are not from this statement, or parts that are missing; those of
    /// the store and the operating system.
    pub(super) async fn claim(
        target: &Target,
        store: Arc<dyn ObjectStore>,
        statement: &StatementRecord,
        writers: Writers,
    ) -> Result<Self> {
        let log = open_log(target, &store).await?;
        check_owner(target, &store, &log).await?;
        let run = format!("{:08x}", RandomState::new().hash_one(now_millis()) as u32);
        let lock = lock(target, log.first_run().unwrap_or(&run)).await?;
        // Another process may have written to it before.
        let log = open_log(target, &store).await?;
        check_owner(target, &store, &log).await?;
        let earlier = log.entries().iter().filter_map(|entry| match entry {
            Entry::Start { statement, .. } => Some(statement),
            _ => None,
        });
        if let Some(difference) = earlier.into_iter().find_map(|earlier| earlier.difference(statement)) {
            let folder =
                if target.local_path().is_some() { "remove the folder" } else { "delete its objects" };
            return Err(target.refused(format!(
                "{difference}; the rows there would not be those of this statement. To start over, {folder}, or name \
                 another"
            )));
        }
        let log = if writers == Writers::One { log } else { log.shared() };
        let mut folder = Self { target: target.clone(), store, log, run, _lock: lock };
        let start = Entry::Start {
            statement: Box::new(statement.clone()),
            run: folder.run.clone(),
            process: std::process::id(),
            time: now_millis(),
        };
        // Tasks of an earlier run may append until they see this.
        folder.append_after(&start, Entry::is_start).await?;
        folder.remove_rest().await?;
        Ok(folder)
    }

    /// The log, as it was when the run began and with what was appended since.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// What the names of this run's parts begin with.
    pub(super) fn part_prefix(&self) -> String {
        part_prefix(&self.run)
    }

    /// Names the run.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Removes what writers have left that can't append any more: parts that no entry names, hidden folders, files of the
    /// log.
    ///
    /// # Errors
    /// A part that is missing; those of the store.
    async fn remove_rest(&self) -> Result<()> {
        let (mut logged, mut runs, mut owners) = (HashSet::new(), vec![], vec![]);
        for entry in self.log.entries() {
            match entry {
                Entry::Start { run, process, .. } => {
                    runs.push(part_prefix(run));
                    owners.extend([run.clone(), process.to_string()]);
                }
                Entry::Commit { files, .. } => logged.extend(files.iter().map(String::as_str)),
                Entry::End { .. } => {}
            }
        }
        let mut unlogged = Vec::new();
        let mut files = self.store.list(Some(self.target.url().prefix()));
        while let Some(file) = files.try_next().await? {
            let Some(path) = relative(&self.target, &file.location) else { continue };
            let name = file.location.filename().unwrap_or_default();
            if !logged.remove(path.as_str()) && runs.iter().any(|run| name.starts_with(run.as_str())) {
                unlogged.push(file.location);
            }
        }
        drop(files);
        if let Some(missing) = logged.into_iter().min() {
            return Err(self.target.refused(format!(
                "{missing} is in the log but not in the folder, so its rows are lost; to start over, remove what is there"
            )));
        }
        unlogged.extend(self.log.left().await?);
        self.delete(unlogged).await?;
        if let Some(folder) = self.target.local_path() {
            let removed = SpawnedTask::spawn_blocking(move || remove_hidden(&folder, &owners)).join().await;
            removed.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
        }
        Ok(())
    }

    /// Puts the files of a part, if it has any, in their place, and the part into the log with what it finishes.
    ///
    /// # Errors
    /// Those of the store and the operating system, after which the next run knows whether the part counts; another
    /// process's run, after which it does not.
    pub(super) async fn commit(
        &mut self,
        part: Option<&StagedStore>,
        rows: u64,
        bytes: u64,
        finished: &Finished,
    ) -> Result<()> {
        let Finished { hashes, skipped, failed } = finished;
        let name = self.log.next_name(&self.run);
        let keys = self.log.put_keys(&name, hashes).await?;
        let errors = self.log.put_errors(&name, failed).await?;
        let mut locations = vec![];
        if let Some(part) = part {
            part.commit_durably().await?;
            locations = part.locations();
        }
        let entry = Entry::Commit {
            run: self.run.clone(),
            rows,
            skipped: *skipped,
            bytes,
            files: locations.iter().filter_map(|location| relative(&self.target, location)).collect(),
            keys,
            errors,
            task: None,
            other_errors: None,
            time: now_millis(),
        };
        match self.log.append(entry).await? {
            Appended::Yes => Ok(()),
            Appended::Taken => {
                self.delete(locations).await?;
                Err(overtaken(&self.target))
            }
        }
    }

    /// Ends the run.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn end(&mut self, is_complete: bool) -> Result<()> {
        let end = Entry::End { run: self.run.clone(), is_complete, time: now_millis() };
        self.append(end).await
    }

    /// Ends the run of tasks, none of which commits any more; also learns what they have committed, and removes what they
    /// have left.
    ///
    /// # Errors
    /// Those of the store, and another process's run.
    #[cfg(feature = "cluster")]
    pub(super) async fn end_tasks(&mut self, is_complete: bool) -> Result<()> {
        let end = Entry::End { run: self.run.clone(), is_complete, time: now_millis() };
        self.append_after(&end, Entry::is_start).await?;
        self.remove_rest().await
    }

    /// Learns what the tasks have committed.
    ///
    /// # Errors
    /// Those of the store; a log that is damaged.
    #[cfg(feature = "cluster")]
    pub(super) async fn catch_up(&mut self) -> Result<()> {
        self.log.catch_up().await
    }

    async fn append(&mut self, entry: Entry) -> Result<()> {
        match self.log.append(entry).await? {
            Appended::Yes => Ok(()),
            Appended::Taken => Err(overtaken(&self.target)),
        }
    }

    async fn append_after(&mut self, entry: &Entry, against: impl Fn(&Entry) -> bool) -> Result<()> {
        match self.log.append_after(entry, against).await? {
            Appended::Yes => Ok(()),
            Appended::Taken => Err(overtaken(&self.target)),
        }
    }

    async fn delete(&self, files: Vec<StorePath>) -> Result<()> {
        delete(self.store.as_ref(), files).await
    }
}

/// What the names of a run's parts begin with.
pub(super) fn part_prefix(run: &str) -> String {
    format!("{PART}{run}-")
}

/// The path of a file below the folder.
pub(super) fn relative(target: &Target, location: &StorePath) -> Option<String> {
    let names = location.prefix_match(target.url().prefix())?;
    let names: Vec<_> = names.map(|name| name.as_ref().to_owned()).collect();
    Some(names.join("/"))
}

pub(super) fn overtaken(target: &Target) -> DataFusionError {
    target.refused(
        "another process has begun to write here, so this one ends; what it has committed stays, and the other \
         continues from there",
    )
}

/// Deletes files, some of which may be gone.
pub(super) async fn delete(store: &dyn ObjectStore, files: Vec<StorePath>) -> Result<()> {
    let deleted = store.delete_stream(stream::iter(files).map(Ok).boxed());
    let gone = |deleted| match deleted {
        Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(DataFusionError::from(error)),
    };
    deleted.map(gone).try_collect().await
}

pub(super) async fn open_log(target: &Target, store: &Arc<dyn ObjectStore>) -> Result<Log> {
    let local = target.local_path();
    Log::open(Arc::clone(store), target.url().prefix(), local.as_deref(), target.written()).await
}

/// Checks that a folder without a log has no files.
async fn check_owner(target: &Target, store: &Arc<dyn ObjectStore>, log: &Log) -> Result<()> {
    if !log.entries().is_empty() {
        return Ok(());
    }
    match count_files(target, Arc::clone(store)).await? {
        0 => Ok(()),
        files => Err(target.refused(format!(
            "the folder holds {} that no COPY with the option resume has written; name another folder",
            counted(files)
        ))),
    }
}

/// Locks a folder whose log was begun by `run`.
async fn lock(target: &Target, run: &str) -> Result<Lock> {
    let (run, local) = (run.to_owned(), target.local_path());
    let locked = SpawnedTask::spawn_blocking(move || take_lock(&run, local)).join().await;
    let locked = locked.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
    locked.map_err(|unlocked| match unlocked {
        Unlocked::Held(process) if process.is_empty() => {
            target.refused("another process is writing to this folder; wait until it ends, or stop it")
        }
        Unlocked::Held(process) => target.refused(format!(
            "another process ({process}) is writing to this folder; wait until it ends, or stop it"
        )),
        Unlocked::Io(error) => target.refused(format!("the folder can't be written: {error}")),
    })
}

fn take_lock(run: &str, local: Option<PathBuf>) -> Result<Lock, Unlocked> {
    match local {
        Some(folder) => {
            let log = folder.join(LOG_FOLDER);
            fs::create_dir_all(&log).map_err(Unlocked::Io)?;
            Lock::of_folder(&log)
        }
        None => Lock::of_log(run),
    }
}
