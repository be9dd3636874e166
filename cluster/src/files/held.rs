//! Files that the scheduler holds for jobs whose client has gone.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tonic::{Status, Streaming};

use super::messages::{Asked, Held, Kept};

/// How long files are held that no job needs: their client may be about to begin one.
const SPARED: Duration = Duration::from_secs(600);

/// The files of clients, by their secrets.
#[derive(Debug, Default)]
pub(super) struct HeldFiles(Mutex<HashMap<String, OfSecret>>);

#[derive(Debug)]
struct OfSecret {
    /// By their digests; deleted with this.
    files: HashMap<String, TempPath>,
    jobs: HashSet<String>,
    touched: Instant,
}

impl HeldFiles {
    fn files(&self) -> MutexGuard<'_, HashMap<String, OfSecret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held of a secret, which is in use now.
    fn of(files: &mut HashMap<String, OfSecret>, secret: String) -> &mut OfSecret {
        let new = || OfSecret { files: HashMap::new(), jobs: HashSet::new(), touched: Instant::now() };
        let held = files.entry(secret).or_insert_with(new);
        held.touched = Instant::now();
        held
    }

    /// Writes a file that comes in parts.
    pub(super) async fn hold(&self, mut parts: Streaming<Held>) -> Result<(), Status> {
        let unwritable = |error: std::io::Error| {
            Status::resource_exhausted(format!("the scheduler can't hold the file of a model: {error}"))
        };
        let (file, path) = NamedTempFile::with_prefix("seequel-held-").map_err(unwritable)?.into_parts();
        let mut file = File::from_std(file);
        let mut name = None;
        while let Some(Held { secret, digest, bytes }) = parts.message().await? {
            name.get_or_insert((secret, digest));
            file.write_all(&bytes).await.map_err(unwritable)?;
        }
        file.flush().await.map_err(unwritable)?;
        match name {
            Some((secret, digest)) if !secret.is_empty() => {
                Self::of(&mut self.files(), secret).files.insert(digest, path);
                Ok(())
            }
            _ => Err(Status::invalid_argument("a file has a secret")),
        }
    }

    /// Holds the files of a secret until a job has ended.
    pub(super) fn keep(&self, Kept { secret, job_id }: Kept) {
        Self::of(&mut self.files(), secret).jobs.insert(job_id);
    }

    /// Where a file is.
    pub(super) fn path(&self, asked: &Asked) -> Option<PathBuf> {
        let files = self.files();
        files.get(&asked.secret)?.files.get(&asked.digest).map(|path| path.to_path_buf())
    }

    /// The jobs that files are held for.
    pub(super) fn jobs(&self) -> Vec<String> {
        self.files().values().flat_map(|held| &held.jobs).cloned().collect()
    }

    /// Deletes files that no job needs any more but these.
    pub(super) fn forget_but(&self, running: &HashSet<String>) {
        self.files().retain(|_, held| {
            held.jobs.retain(|job| running.contains(job));
            !held.jobs.is_empty() || held.touched.elapsed() < SPARED
        });
    }
}
