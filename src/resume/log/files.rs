//! The files of a log: each is created as a whole, unless there is one of its name.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutOptions};
use futures::stream::TryStreamExt;

use super::entry::Entry;
use super::{Appended, ERRORS, KEYS, Log};
use crate::failures::FailedRow;

impl Log {
    /// Writes the hashes for an entry, in a file that no other writer names like this; returns its name.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn put_keys(&self, name: &str, hashes: &[u128]) -> Result<String> {
        let name = format!("{name}.{KEYS}");
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
        self.create(&name, bytes.into()).await?;
        Ok(name)
    }

    /// Writes the failures for an entry, as lines of JSON, as [`Self::put_keys`] does; returns the name of their file, if
    /// there are any.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn put_errors(&self, name: &str, rows: &[FailedRow]) -> Result<Option<String>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let name = format!("{name}.{ERRORS}");
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)
                .map_err(|error| DataFusionError::External(error.into()))?;
            lines.push(b'\n');
        }
        self.create(&name, lines.into()).await?;
        Ok(Some(name))
    }

    /// Creates a file as a whole, unless there is one of its name.
    pub(super) async fn create(&self, name: &str, bytes: Bytes) -> Result<Appended> {
        if let Some(folder) = &self.local {
            let (folder, name, is_shared) = (folder.clone(), name.to_owned(), self.is_shared);
            let created = SpawnedTask::spawn_blocking(move || create_file(&folder, &name, &bytes, is_shared))
                .join()
                .await;
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

    /// The places of files with these names in the log's folder.
    #[cfg(feature = "cluster")]
    pub(crate) fn places(&self, names: impl IntoIterator<Item = String>) -> Vec<StorePath> {
        names.into_iter().map(|name| self.folder.clone().join(name)).collect()
    }

    /// The files that writers have left that were killed, once none of them can append any more.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn left(&self) -> Result<Vec<StorePath>> {
        let named: HashSet<_> = self.entries.iter().flat_map(Entry::files_of_log).collect();
        let mut left = vec![];
        let mut files = self.store.list(Some(&self.folder));
        while let Some(file) = files.try_next().await? {
            let name = file.location.filename().unwrap_or_default();
            let is_of_entry = matches!(file.location.extension(), Some(KEYS | ERRORS));
            if name.starts_with('.') || (is_of_entry && !named.contains(name)) {
                left.push(file.location);
            }
        }
        Ok(left)
    }
}

/// Writes a file beside its place, and gives it its name when it is on the disk.
fn create_file(folder: &Path, name: &str, bytes: &[u8], is_shared: bool) -> io::Result<Appended> {
    // Processes of several machines may have the same number.
    let unique = format!(".{name}-{}-{:016x}", std::process::id(), RandomState::new().hash_one(name));
    let (place, hidden) = (folder.join(name), folder.join(unique));
    let mut file = File::create(&hidden)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = match fs::hard_link(&hidden, &place) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Appended::Taken),
        // Not all file systems have links. The lock keeps others from the name, but not the tasks of a cluster.
        Err(_) if !is_shared && !place.exists() => fs::rename(&hidden, &place).map(|()| Appended::Yes),
        Err(error) => Err(error),
        Ok(()) => Ok(Appended::Yes),
    };
    // It is gone if it was renamed.
    let _ = fs::remove_file(&hidden);
    File::open(folder)?.sync_all()?;
    linked
}
