//! The log in the folder of a statement: numbered entries, and the hashes of the keys that are finished.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::entry::Entry;
use crate::Error;
use crate::failures::FailedRow;

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
    /// Bytes of the files of hashes, by name.
    keys: HashMap<String, u64>,
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
            keys: HashMap::new(),
        };
        let mut numbered = Vec::new();
        let mut files = log.store.list(Some(&log.folder));
        while let Some(file) = files.try_next().await? {
            let name = file.location.filename().unwrap_or_default();
            match file.location.extension() {
                Some(ENTRY) => numbered.extend(number_of(name).map(|number| (number, file))),
                Some(KEYS) => {
                    log.keys.insert(name.to_owned(), file.size);
                }
                _ => {}
            }
        }
        drop(files);
        numbered.sort_unstable_by_key(|(number, _)| *number);
        if let Some((expected, _)) = (1..).zip(&numbered).find(|(expected, (found, _))| expected != found) {
            return Err(log.damaged(&entry_name(expected), "it is missing"));
        }
        let entries = stream::iter(numbered).map(|(_, file)| log.read(file)).buffered(CONCURRENT_REQUESTS);
        let entries = entries.try_collect().await?;
        log.entries = entries;
        Ok(log)
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

    async fn read(&self, file: ObjectMeta) -> Result<Entry> {
        let name = file.location.filename().unwrap_or_default();
        if file.size > MAX_ENTRY_BYTES {
            return Err(self.damaged(name, "it is too large"));
        }
        let bytes = self.store.get(&file.location).await?.bytes().await?;
        parse(&bytes).map_err(|reason| self.damaged(name, reason))
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

    /// The number of rows that are written.
    pub(crate) fn rows(&self) -> u64 {
        let rows = self.entries.iter().map(|entry| match entry {
            Entry::Commit { rows, .. } => *rows,
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
        let mut hashes = Vec::new();
        let commits = self.entries.iter().filter_map(|entry| match entry {
            Entry::Commit { keys, rows, skipped, .. } => Some((keys, rows.saturating_add(*skipped))),
            _ => None,
        });
        for (keys, rows) in commits.clone() {
            if self.keys.get(keys).copied() != rows.checked_mul(HASH_BYTES) {
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

    /// Writes the hashes for the next entry; returns the name of their file.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn put_keys(&self, run: &str, hashes: &[u128]) -> Result<String> {
        let name = format!("{:0DIGITS$}-{run}.{KEYS}", self.next());
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
        // No other run writes a file of this name.
        self.create(&name, bytes.into()).await?;
        Ok(name)
    }

    /// Writes the failures for the next entry, as lines of JSON; returns the name of their file.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn put_errors(&self, run: &str, rows: &[FailedRow]) -> Result<String> {
        let name = format!("{:0DIGITS$}-{run}.{ERRORS}", self.next());
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)
                .map_err(|error| DataFusionError::External(error.into()))?;
            lines.push(b'\n');
        }
        self.create(&name, lines.into()).await?;
        Ok(name)
    }

    /// The names of the files of failures.
    pub(crate) fn error_files(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Commit { errors, .. } => errors.as_deref(),
            _ => None,
        })
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

    /// Appends an entry.
    ///
    /// # Errors
    /// Those of the store, after which the entry may be in the log or not.
    pub(crate) async fn append(&mut self, entry: Entry) -> Result<Appended> {
        let bytes = serde_json::to_vec(&entry).map_err(|error| DataFusionError::External(error.into()))?;
        let appended = self.create(&entry_name(self.next()), bytes.into()).await?;
        if appended == Appended::Yes {
            self.entries.push(entry);
        }
        Ok(appended)
    }

    fn next(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    /// Creates a file as a whole, unless there is one of its name.
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Appended> {
        if let Some(folder) = &self.local {
            let (folder, name) = (folder.clone(), name.to_owned());
            let created =
                SpawnedTask::spawn_blocking(move || create_file(&folder, &name, &bytes)).join().await;
            let created = created.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
            return created.map_err(|error| self.refused(format!("the log can't be written: {error}")));
        }
        let file = self.folder.clone().join(name);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&file, bytes.clone().into(), options).await {
            Ok(_) => Ok(Appended::Yes),
            // An earlier try may have succeeded without an answer.
            Err(StoreError::AlreadyExists { .. }) => {
                let found = self.store.get(&file).await?.bytes().await?;
                Ok(if found == bytes { Appended::Yes } else { Appended::Taken })
            }
            Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => Err(self.refused(
                "resume needs a store that can create an object only if there is none of its name; this one can't",
            )),
            Err(error) => Err(error.into()),
        }
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

fn parse(bytes: &[u8]) -> Result<Entry, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Writes a file beside its place, and gives it its name when it is on the disk.
fn create_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Appended> {
    let (place, hidden) = (folder.join(name), folder.join(format!(".{name}-{}", std::process::id())));
    let mut file = File::create(&hidden)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = match fs::hard_link(&hidden, &place) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Appended::Taken),
        // Not all file systems have links. The lock keeps others from the name.
        Err(_) if !place.exists() => fs::rename(&hidden, &place).map(|()| Appended::Yes),
        Err(error) => Err(error),
        Ok(()) => Ok(Appended::Yes),
    };
    // It is gone if it was renamed.
    let _ = fs::remove_file(&hidden);
    File::open(folder)?.sync_all()?;
    linked
}

#[cfg(test)]
mod tests {
    use datafusion::object_store::local::LocalFileSystem;
    use datafusion::object_store::memory::InMemory;

    use super::*;
    use crate::failures::Stage;
    use crate::resume::entry::now_millis;

    async fn open(store: &Arc<dyn ObjectStore>) -> Result<Log> {
        Log::open(Arc::clone(store), &StorePath::from("out"), None, "out/").await
    }

    fn end(run: &str) -> Entry {
        Entry::End { run: run.to_owned(), is_complete: true, time: now_millis() }
    }

    #[tokio::test]
    async fn what_was_appended_is_read() -> Result<()> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut log = open(&store).await?;
        assert!(log.entries().is_empty());
        let hashes = [1, u128::MAX];
        let keys = log.put_keys("a", &hashes).await?;
        let failed = [FailedRow {
            path: Some("/a\n.jpg".to_owned()),
            stage: Stage::Decode,
            error: "not an image".to_owned(),
            model: None,
        }];
        let errors = Some(log.put_errors("a", &failed).await?);
        let entry = Entry::Commit {
            run: "a".to_owned(),
            rows: 1,
            skipped: 1,
            bytes: 3,
            files: vec![],
            keys,
            errors,
            time: now_millis(),
        };
        assert_eq!(log.append(entry.clone()).await?, Appended::Yes);
        assert_eq!(log.append(end("a")).await?, Appended::Yes);
        // Of a process that was killed before its entry.
        log.put_keys("b", &[7]).await?;
        let log = open(&store).await?;
        assert_eq!((log.entries().len(), &log.entries()[0], log.finished()), (2, &entry, 2));
        assert_eq!(log.finished_hashes().await?, hashes);
        let files: Vec<_> = log.error_files().collect();
        assert_eq!(files, ["00000001-a.errors"]);
        assert_eq!(log.errors(files[0]).await?, failed);
        Ok(())
    }

    #[tokio::test]
    async fn an_entry_has_one_author() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("out").join(LOG_FOLDER))?;
        let local: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path())?);
        let path = folder.path().join("out");
        for (store, path) in [(Arc::new(InMemory::new()) as _, None), (local, Some(path.as_path()))] {
            let out = StorePath::from("out");
            let open = || Log::open(Arc::clone(&store), &out, path, "out/");
            let (mut first, mut second) = (open().await?, open().await?);
            assert_eq!(first.append(end("a")).await?, Appended::Yes);
            assert_eq!(second.append(end("b")).await?, Appended::Taken);
            assert_eq!(first.append(end("c")).await?, Appended::Yes);
            assert_eq!(open().await?.entries(), first.entries());
        }
        Ok(())
    }

    #[tokio::test]
    async fn damage_is_an_error_that_names_the_file() -> Result<()> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let put = async |name: &str, text: &'static [u8]| {
            store.put(&StorePath::from(format!("out/_seequel/{name}")), text.into()).await
        };
        let error = async || open(&store).await.map(|_| ()).map_err(|error| error.to_string());
        put("00000002.json", b"{}").await?;
        assert!(error().await.unwrap_err().contains("_seequel/00000001.json: it is missing"));
        put("00000001.json", br#"{"entry":"end","run":"a","is_complete":1}"#).await?;
        assert!(error().await.unwrap_err().contains("_seequel/00000001.json: invalid type"));
        let commit =
            br#"{"entry":"commit","run":"a","rows":9,"bytes":1,"files":[],"keys":"1.keys","time":1}"#;
        put("00000001.json", commit).await?;
        put("00000002.json", commit).await?;
        put("1.keys", b"short").await?;
        let reason = open(&store).await?.finished_hashes().await.unwrap_err().to_string();
        assert!(reason.contains("_seequel/1.keys: it does not have the keys of 9 rows"), "{reason}");
        let errors = async || {
            let log = open(&store).await.map_err(|error| error.to_string())?;
            log.errors("1.errors").await.map_err(|error| error.to_string())
        };
        assert!(errors().await.unwrap_err().contains("_seequel/1.errors: it is missing"));
        put("1.errors", b"{\"path\":null,\"stage\":\"nowhere\"}").await?;
        assert!(errors().await.unwrap_err().contains("_seequel/1.errors: unknown variant"));
        let endless = br#"{"entry":"commit","run":"a","rows":18446744073709551615,"bytes":18446744073709551615,"files":[],"keys":"1.keys","time":1}"#;
        put("00000001.json", endless).await?;
        assert_eq!(open(&store).await?.finished(), u64::MAX, "with the 9 of the other entry");
        Ok(())
    }
}
