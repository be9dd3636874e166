//! Walks a local folder: calls `stat` on files only if needed, and skips entries that can't be listed.
//!
//! ```text
//!  blocking thread: walkdir ─► file? ─► its path in the store ─► chunk ─┐ channel, bounded
//!                      └─ can't be listed: counted, a few are named     ▼
//!                                                                 stream of files
//! ```
//!
//! object_store's own listing reads the metadata of each file three times, and ends at an entry that it can't express.

use std::path::{Path, PathBuf};

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::mpsc::{self, Sender};
use walkdir::{DirEntry, WalkDir};

use super::location::Location;
use super::unlisted::{
    CONTROL_CHARACTERS, IO_ERROR, LINK_TO_NOTHING, LOOP, NO_PERMISSION, NOT_UTF_8, Unlisted,
};

/// Maximum number of files per chunk. Chunks start with one file, so that a query gets its first rows early.
const CHUNK: usize = 256;

/// Maximum number of waiting chunks.
const WAITING: usize = 16;

/// Maximum number of entries inspected to find the first files: planning must not walk a large folder of other files.
const LOOKED_AT: usize = 10_000;

/// How much a listing reads about each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Details {
    /// The path only: size 0, modified in 1970, no etag.
    Paths,
    /// All metadata that a store has.
    Metadata,
}

/// The files at most `depth` levels below the local `folder`, in directory order. Entries that can't be listed are
/// counted in `unlisted` and reported by a warning at the end.
///
/// The walk starts with the first poll and stops when the stream is dropped.
///
/// # Errors
/// If `folder` itself can't be opened.
pub(crate) fn walk(
    location: Location,
    folder: PathBuf,
    depth: usize,
    details: Details,
    unlisted: Unlisted,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let start = async move {
        let (sender, receiver) = mpsc::channel(WAITING);
        let thread = SpawnedTask::spawn_blocking(move || {
            let mut walker = Walker { location, depth, details, unlisted };
            walker.walk(&folder, &sender);
            walker.unlisted.warn(&walker.location);
        });
        stream::try_unfold((receiver, thread), |(mut receiver, thread)| async move {
            match receiver.recv().await {
                Some(chunk) => {
                    Ok::<_, DataFusionError>(Some((stream::iter(chunk).map(Ok), (receiver, thread))))
                }
                None => {
                    thread.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
                    Ok(None)
                }
            }
        })
        .try_flatten()
        .and_then(std::future::ready)
    };
    stream::once(start).flatten().boxed()
}

/// The first `count` files below the local `folder` that `takes` accepts, read synchronously.
pub(crate) fn first_files(
    location: &Location,
    takes: impl Fn(&StorePath) -> bool,
    count: usize,
) -> Vec<StorePath> {
    let folder = location.path_of(location.prefix());
    let entries = entries(folder.as_ref(), location.depth_below(location.prefix()));
    let files = entries.take(LOOKED_AT).filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    let paths = files.filter_map(|entry| store_path(entry.path()));
    paths.filter(takes).take(count).collect()
}

/// Whether the local `folder` has a folder in it.
pub(crate) fn has_folder(folder: &Path) -> bool {
    entries(folder, 1).take(LOOKED_AT).filter_map(Result::ok).any(|entry| entry.file_type().is_dir())
}

/// A local path as a store path, if it can be expressed. object_store's own conversion goes through a URL and takes
/// twice as long.
fn store_path(path: &Path) -> Option<StorePath> {
    StorePath::parse(path.to_str()?).ok()
}

fn entries(folder: &Path, depth: usize) -> walkdir::IntoIter {
    WalkDir::new(folder).min_depth(1).max_depth(depth).follow_links(true).into_iter()
}

type Chunk = Vec<Result<ObjectMeta>>;

struct Walker {
    location: Location,
    depth: usize,
    details: Details,
    unlisted: Unlisted,
}

impl Walker {
    fn walk(&mut self, folder: &Path, chunks: &Sender<Chunk>) {
        let (mut chunk, mut size) = (vec![], 1);
        for entry in entries(folder, self.depth) {
            let file = match entry {
                Ok(entry) if entry.file_type().is_file() => self.file(&entry),
                Ok(_) => continue,
                // The folder of a partition that a filter names but that does not exist.
                Err(error) if error.depth() == 0 && is_missing(&error) => continue,
                Err(error) if error.depth() == 0 => {
                    let reason = format!("the folder can't be listed: {}", plain(&error));
                    Some(Err(self.location.error(reason).into()))
                }
                // A folder at a depth where only files can match.
                Err(error) if error.depth() == self.depth && error.loop_ancestor().is_some() => continue,
                Err(error) => {
                    let path = error.path().unwrap_or(folder);
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let reason = reason_of(&error);
                    // A dangling link matters only if it is named like an image.
                    if reason != LINK_TO_NOTHING || self.location.takes_name(&name) {
                        self.leave_out(reason, path)
                    } else {
                        None
                    }
                }
            };
            chunk.extend(file);
            if chunk.len() >= size {
                size = (size * 2).min(CHUNK);
                if chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
                    return;
                }
            }
        }
        // This fails only if the receiver is dropped.
        let _ = chunks.blocking_send(chunk);
    }

    fn file(&mut self, entry: &DirEntry) -> Option<Result<ObjectMeta>> {
        let Some(path) = store_path(entry.path()) else {
            if self.location.takes_name(&entry.file_name().to_string_lossy()) {
                let is_text = entry.path().to_str().is_some();
                let reason = if is_text { CONTROL_CHARACTERS } else { NOT_UTF_8 };
                return self.leave_out(reason, entry.path());
            }
            return None;
        };
        if self.details == Details::Paths {
            return Some(Ok(ObjectMeta {
                location: path,
                last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
                size: 0,
                e_tag: None,
                version: None,
            }));
        }
        match entry.metadata() {
            Ok(metadata) => Some(Ok(object_meta(path, &metadata))),
            Err(error) => self.leave_out(reason_of(&error), entry.path()),
        }
    }

    /// Leaves out an entry, unless that ends the query.
    fn leave_out(&mut self, reason: &'static str, path: &Path) -> Option<Result<ObjectMeta>> {
        self.unlisted.add(reason, path, &self.location).err().map(Err)
    }
}

fn reason_of(error: &walkdir::Error) -> &'static str {
    if error.loop_ancestor().is_some() {
        return LOOP;
    }
    match error.io_error().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::PermissionDenied) => NO_PERMISSION,
        Some(std::io::ErrorKind::NotFound) => LINK_TO_NOTHING,
        // A link to itself.
        _ if error.path().is_some_and(Path::is_symlink) => LOOP,
        _ => IO_ERROR,
    }
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// The operating system's error, without the path.
fn plain(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The metadata that object_store's local store returns for a file, including its etag.
#[cfg(unix)]
fn object_meta(location: StorePath, metadata: &std::fs::Metadata) -> ObjectMeta {
    use std::os::unix::fs::MetadataExt;
    let modified = metadata.modified().unwrap_or(std::time::SystemTime::UNIX_EPOCH);
    let micros = modified.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    let (inode, size) = (metadata.ino(), metadata.len());
    let e_tag = Some(format!("{inode:x}-{micros:x}-{size:x}"));
    ObjectMeta { location, last_modified: modified.into(), size, e_tag, version: None }
}

#[cfg(not(unix))]
fn object_meta(location: StorePath, metadata: &std::fs::Metadata) -> ObjectMeta {
    let modified = metadata.modified().unwrap_or(std::time::SystemTime::UNIX_EPOCH);
    ObjectMeta { location, last_modified: modified.into(), size: metadata.len(), e_tag: None, version: None }
}
