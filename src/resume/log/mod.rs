//! The log in the folder of a statement: numbered entries, and the hashes of the keys that are finished.

mod append;
mod entry;
mod files;
mod statement;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::Error;
use crate::failures::FailedRow;

pub(crate) use entry::{Entry, now_millis};
pub(crate) use statement::{ModelRecord, StatementRecord};

/// Name of the log's folder in that of the statement.
pub(crate) const LOG_FOLDER: &str = "_seequel";

/// Extensions of entries, of hashes and of failures.
const ENTRY: &str = "json";
const KEYS: &str = "keys";
const ERRORS: &str = "errors";
/// Digits of an entry's number.
const DIGITS: usize = 8;

/// Entries are small, unless a part has a hundred thousand partitions.
const MAX_ENTRY_BYTES: u64 = 64 << 20;
const HASH_BYTES: u64 = size_of::<u128>() as u64;
const CONCURRENT_REQUESTS: usize = 8;

/// The log of a folder, and what it held when it was opened.
#[derive(Debug)]
pub(crate) struct Log {
    store: Arc<dyn ObjectStore>,
    folder: StorePath,
    /// The folder on this machine; `None` if it is in a remote store.
    local: Option<PathBuf>,
    /// The statement's folder in the user's words.
    written: String,
    entries: Vec<Entry>,
    /// Whether several processes append at the same time.
    is_shared: bool,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the log.
    Yes,
    /// Another process has appended one of this number.
    Taken,
}

impl Log {
    /// Reads the log of the folder `target`, which is empty if there is none.
    ///
    /// # Errors
    /// Those of the store; a log that is damaged.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        target: &StorePath,
        local: Option<&Path>,
        written: &str,
    ) -> Result<Self> {
        let mut log = Self {
            store,
            folder: target.clone().join(LOG_FOLDER),
            local: local.map(|folder| folder.join(LOG_FOLDER)),
            written: written.to_owned(),
            entries: Vec::new(),
            is_shared: false,
        };
        let mut last = 0;
        let mut files = log.store.list(Some(&log.folder));
        while let Some(file) = files.try_next().await? {
            last = last.max(file.location.filename().and_then(number_of).unwrap_or_default());
        }
        drop(files);
        // By their numbers: a listing may miss an entry that another process appends before one that it has.
        let entries = stream::iter(1..=last).map(|number| log.entry(number)).buffered(CONCURRENT_REQUESTS);
        let entries = entries.try_collect().await?;
        log.entries = entries;
        Ok(log)
    }

    /// As it is, for a run whose tasks append as well.
    pub(crate) fn shared(self) -> Self {
        Self { is_shared: true, ..self }
    }

    /// As it was when `run` began.
    #[cfg(feature = "cluster")]
    pub(crate) fn before(mut self, run: &str) -> Self {
        let begins = |entry: &Entry| matches!(entry, Entry::Start { run: begun, .. } if begun == run);
        let before = self.entries.iter().position(begins).unwrap_or_default();
        self.entries.truncate(before);
        self
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The run that began the log, which no other log has.
    pub(crate) fn first_run(&self) -> Option<&str> {
        match self.entries.first() {
            Some(Entry::Start { run, .. }) => Some(run),
            _ => None,
        }
    }

    /// An entry that must be there.
    async fn entry(&self, number: u64) -> Result<Entry> {
        let entry = self.read(number).await?;
        entry.ok_or_else(|| self.damaged(&entry_name(number), "it is missing"))
    }

    /// The entry of a number, if there is one.
    async fn read(&self, number: u64) -> Result<Option<Entry>> {
        let name = entry_name(number);
        let file = match self.store.get(&self.folder.clone().join(name.as_str())).await {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            file => file?,
        };
        if file.meta.size > MAX_ENTRY_BYTES {
            return Err(self.damaged(&name, "it is too large"));
        }
        let bytes = file.bytes().await?;
        serde_json::from_slice(&bytes).map(Some).map_err(|reason| self.damaged(&name, reason))
    }

    /// The number of finished keys.
    pub(crate) fn finished(&self) -> u64 {
        let rows = self.entries.iter().map(|entry| match entry {
            Entry::Commit { rows, skipped, .. } => rows.saturating_add(*skipped),
            _ => 0,
        });
        // A damaged log may have any numbers.
        rows.fold(0, u64::saturating_add)
    }

    /// The number of rows that are written, by `run` or by all.
    pub(crate) fn rows(&self, run: Option<&str>) -> u64 {
        let rows = self.entries.iter().map(|entry| match entry {
            Entry::Commit { run: of, rows, .. } if run.is_none_or(|run| run == of) => *rows,
            _ => 0,
        });
        // A damaged log may have any numbers.
        rows.fold(0, u64::saturating_add)
    }

    /// The hashes of the finished keys.
    ///
    /// # Errors
    /// Those of the store; a file of hashes that does not fit its entry.
    pub(crate) async fn finished_hashes(&self) -> Result<Vec<u128>> {
        let mut sizes = HashMap::new();
        let mut files = self.store.list(Some(&self.folder));
        while let Some(file) = files.try_next().await? {
            if file.location.extension() == Some(KEYS) {
                sizes.insert(file.location.filename().unwrap_or_default().to_owned(), file.size);
            }
        }
        drop(files);
        let mut hashes = Vec::new();
        let commits = self.entries.iter().filter_map(|entry| match entry {
            Entry::Commit { keys, rows, skipped, .. } => Some((keys, rows.saturating_add(*skipped))),
            _ => None,
        });
        for (keys, rows) in commits.clone() {
            if sizes.get(keys).copied() != rows.checked_mul(HASH_BYTES) {
                return Err(self.damaged(keys, format!("it does not have the keys of {rows} rows")));
            }
        }
        hashes.reserve_exact(self.finished() as usize);
        for (keys, _) in commits {
            let bytes = self.store.get(&self.folder.clone().join(keys.as_str())).await?.bytes().await?;
            let (each, _) = bytes.as_chunks();
            hashes.extend(each.iter().map(|hash| u128::from_be_bytes(*hash)));
        }
        Ok(hashes)
    }

    /// The names of the files of failures: of rows that are committed, and of the others of the tasks of `run`.
    pub(crate) fn error_files(&self, run: &str) -> impl Iterator<Item = &str> {
        let files = self.entries.iter().filter_map(move |entry| match entry {
            Entry::Commit { run: of, errors, other_errors, .. } => {
                Some([errors.as_deref(), other_errors.as_deref().filter(|_| of == run)])
            }
            _ => None,
        });
        files.flatten().flatten()
    }

    /// The failures in a file of that name.
    ///
    /// # Errors
    /// Those of the store; a file that is missing or damaged.
    pub(crate) async fn errors(&self, name: &str) -> Result<Vec<FailedRow>> {
        let file = match self.store.get(&self.folder.clone().join(name)).await {
            Err(StoreError::NotFound { .. }) => return Err(self.damaged(name, "it is missing")),
            file => file?,
        };
        if file.meta.size > MAX_ENTRY_BYTES {
            return Err(self.damaged(name, "it is too large"));
        }
        let bytes = file.bytes().await?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|reason| self.damaged(name, reason))).collect()
    }

    fn damaged(&self, file: &str, reason: impl fmt::Display) -> DataFusionError {
        self.refused(format!(
            "the log is damaged: {LOG_FOLDER}/{file}: {reason}; to start over, remove the folder"
        ))
    }

    fn refused(&self, reason: impl Into<String>) -> DataFusionError {
        Error::Target { target: self.written.clone(), reason: reason.into() }.into()
    }
}

fn entry_name(number: u64) -> String {
    format!("{number:0DIGITS$}.{ENTRY}")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENTRY)?.strip_suffix('.')?;
    (digits.len() == DIGITS).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
