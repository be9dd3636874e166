//! Files that the scheduler holds for jobs whose client has gone.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{Stream, TryStreamExt};
use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tonic::Status;

use super::messages::{Asked, Held, Kept};

/// How long files are held that no job needs: their client may be about to begin one.
const SPARED: Duration = Duration::from_secs(600);
/// Bytes of all files: a disk of a scheduler is small, and it ends with all jobs if others need what is left.
const MOST_BYTES: u64 = 16 << 30;

/// The files of clients, by their secrets.
#[derive(Debug)]
pub(super) struct HeldFiles {
    files: Mutex<HashMap<String, OfSecret>>,
    space: Arc<Space>,
}

/// The disk that files may take.
#[derive(Debug)]
struct Space {
    most: u64,
    taken: AtomicU64,
}

/// What a file takes of it, until dropped.
#[derive(Debug)]
struct Taken {
    space: Arc<Space>,
    bytes: u64,
}

impl Space {
    fn take(self: &Arc<Self>, bytes: u64) -> Result<Taken, Status> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.most);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Taken { space: Arc::clone(self), bytes }),
            Err(taken) => Err(Status::resource_exhausted(format!(
                "with the {} of this model it would hold more than {} for detached queries, of which {} are taken: try again \
                 some minutes after others have ended, which SHOW JOBS lists and CANCEL JOB ends, or run the query without \
                 --detach",
                megabytes(bytes),
                megabytes(self.most),
                megabytes(taken)
            ))),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.space.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1 << 20))
}

#[derive(Debug)]
struct OfSecret {
    /// By their digests; deleted with this.
    files: HashMap<String, (TempPath, Taken)>,
    jobs: HashSet<String>,
    touched: Instant,
}

impl Default for HeldFiles {
    fn default() -> Self {
        Self::of_at_most(MOST_BYTES)
    }
}

impl HeldFiles {
    /// Those that take at most so many bytes.
    pub(super) fn of_at_most(bytes: u64) -> Self {
        let space = Arc::new(Space { most: bytes, taken: AtomicU64::new(0) });
        Self { files: Mutex::default(), space }
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, OfSecret>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held of a secret, which is in use now.
    fn of(files: &mut HashMap<String, OfSecret>, secret: String) -> &mut OfSecret {
        let new = || OfSecret { files: HashMap::new(), jobs: HashSet::new(), touched: Instant::now() };
        let held = files.entry(secret).or_insert_with(new);
        held.touched = Instant::now();
        held
    }

    /// Writes a file that comes in parts.
    ///
    /// # Errors
    /// One for which there is no space, that is longer than it says, or that can't be written.
    pub(super) async fn hold(
        &self,
        mut parts: impl Stream<Item = Result<Held, Status>> + Unpin,
    ) -> Result<(), Status> {
        let Some(Held { secret, digest, length, bytes: mut part }) = parts.try_next().await? else {
            return Err(Status::invalid_argument("a file has a first part"));
        };
        if secret.is_empty() {
            return Err(Status::invalid_argument("a file has a secret"));
        }
        let taken = self.space.take(length)?;
        let unwritable = |error: std::io::Error| {
            Status::resource_exhausted(format!("the scheduler can't hold the file of a model: {error}"))
        };
        let (file, path) = NamedTempFile::with_prefix("seequel-held-").map_err(unwritable)?.into_parts();
        let (mut file, mut left) = (File::from_std(file), length);
        loop {
            left = left
                .checked_sub(part.len() as u64)
                .ok_or_else(|| Status::invalid_argument("the file of a model grew while it was sent"))?;
            file.write_all(&part).await.map_err(unwritable)?;
            match parts.try_next().await? {
                Some(next) => part = next.bytes,
                None => break,
            }
        }
        file.flush().await.map_err(unwritable)?;
        Self::of(&mut self.files(), secret).files.insert(digest, (path, taken));
        Ok(())
    }

    /// Holds the files of a secret until a job has ended.
    pub(super) fn keep(&self, Kept { secret, job_id }: Kept) {
        Self::of(&mut self.files(), secret).jobs.insert(job_id);
    }

    /// Where a file is.
    pub(super) fn path(&self, asked: &Asked) -> Option<PathBuf> {
        let files = self.files();
        files.get(&asked.secret)?.files.get(&asked.digest).map(|(path, _)| path.to_path_buf())
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;

    /// Holds two parts of 4 bytes each as a file of `length`.
    async fn hold(files: &HeldFiles, secret: &str, length: u64) -> Result<(), String> {
        let first = Held { secret: secret.to_owned(), digest: "d".to_owned(), length, ..Held::default() };
        let part = || Held { bytes: Bytes::from_static(b"four"), ..Held::default() };
        let held = files.hold(stream::iter([Ok(first), Ok(part()), Ok(part())])).await;
        held.map_err(|status| status.message().to_owned())
    }

    #[tokio::test]
    async fn no_more_is_held_than_there_is_space_for() {
        let files = HeldFiles::of_at_most(20);
        for secret in ["a", "b"] {
            hold(&files, secret, 8).await.unwrap();
        }
        let refused = hold(&files, "c", 8).await.unwrap_err();
        assert!(refused.contains("CANCEL JOB ends, or run the query without --detach"), "{refused}");
        let asked = |secret: &str| Asked { secret: secret.to_owned(), digest: "d".to_owned() };
        assert!(files.path(&asked("c")).is_none());
        let path = files.path(&asked("a")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"fourfour");

        // Files that nobody needs make space.
        files.files().remove("a");
        assert!(!path.exists());
        hold(&files, "c", 8).await.unwrap();
        assert!(files.path(&asked("c")).is_some());
    }

    #[tokio::test]
    async fn a_file_takes_no_more_than_it_says() {
        let files = HeldFiles::of_at_most(20);
        let refused = hold(&files, "a", 7).await.unwrap_err();
        assert_eq!(refused, "the file of a model grew while it was sent");
        // What it took is free again.
        hold(&files, "a", 20).await.unwrap();
    }
}
