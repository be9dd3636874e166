//! Lists the files of a location as a stream.
//!
//! The store is listed lazily: dropping the stream stops the listing. Files come in the order of the store: by name in
//! object stores, in directory order on a local disk. Sorting would require the whole listing in memory, so a query
//! that needs an order must use `ORDER BY path`.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::physical_plan::metrics::Count;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::location::Location;
use super::nearest;
use super::others::Others;
use super::unlisted::Unlisted;
use super::walk::{Details, has_folder, walk};

/// Number of concurrent requests for named files.
const CONCURRENT_REQUESTS: usize = 32;

/// Counts of files that a listing leaves out.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListingCounts {
    /// Files in a folder that are not images by their names; hidden files are not counted.
    pub(crate) skipped: Count,
    /// Entries of a local folder that can't be listed: no permission, looping or dangling links, names that can't be
    /// expressed as a path.
    pub(crate) unlisted: Unlisted,
}

/// Lists the files of `location`, or only those below its subfolder `folder`, with the given `details`.
///
/// # Errors
/// The stream fails if the store does, or if there is neither a file nor a folder.
pub(crate) fn list(
    location: Location,
    folder: Option<&StorePath>,
    store: Arc<dyn ObjectStore>,
    details: Details,
    counts: ListingCounts,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let prefix = match folder {
        Some(folder) => StorePath::from_iter(location.prefix().parts().chain(folder.parts())),
        None => location.prefix().clone(),
    };
    stream::once(open(location, prefix, store, details, counts)).try_flatten().boxed()
}

async fn open(
    location: Location,
    prefix: StorePath,
    store: Arc<dyn ObjectStore>,
    details: Details,
    counts: ListingCounts,
) -> Result<BoxStream<'static, Result<ObjectMeta>>> {
    if location.is_missing_folder() {
        return Err(not_found(&location));
    }
    if let Some(files) = location.files() {
        let files = files.to_vec();
        return Ok(look_up_each(location, files, store));
    }
    if !location.may_be_file() {
        return Ok(list_folder(location, &prefix, &store, details, counts));
    }
    match store.head(&prefix).await {
        Ok(file) => Ok(stream::iter([Ok(file)]).boxed()),
        Err(StoreError::NotFound { .. }) if location.can_be_listed() => {
            // May be a folder in an object store, written without its slash.
            let mut files = list_folder(location.clone(), &prefix, &store, details, counts).peekable();
            match Pin::new(&mut files).peek().await {
                Some(_) => Ok(files.boxed()),
                None if store.list(Some(&prefix)).next().await.is_some() => Ok(files.boxed()),
                None => Err(not_found(&location)),
            }
        }
        Err(StoreError::NotFound { .. }) => Err(not_found(&location)),
        Err(error) => Err(error.into()),
    }
}

/// Looks up named files, several at a time, in their order.
fn look_up_each(
    location: Location,
    files: Vec<StorePath>,
    store: Arc<dyn ObjectStore>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let found = stream::iter(files).map(move |file| {
        let (store, location) = (Arc::clone(&store), location.clone());
        async move {
            match store.head(&file).await {
                Err(StoreError::NotFound { .. }) => {
                    Err(location.error(format!("there is no file '{}'", location.path_of(&file))).into())
                }
                found => Ok(found?),
            }
        }
    });
    found.buffered(CONCURRENT_REQUESTS).boxed()
}

fn list_folder(
    location: Location,
    prefix: &StorePath,
    store: &dyn ObjectStore,
    details: Details,
    counts: ListingCounts,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let ListingCounts { skipped, unlisted } = counts;
    let files = if location.is_local() {
        let depth = location.depth_below(prefix);
        walk(location.clone(), location.path_of(prefix).into(), depth, details, unlisted)
    } else {
        store.list(Some(prefix)).map_err(Into::into).boxed()
    };
    let is_whole = prefix == location.prefix();
    let selection = Selection { location, is_whole, skipped, others: Others::default(), is_empty: true };
    stream::try_unfold((files, selection), |(mut files, mut selection)| async move {
        while let Some(file) = files.try_next().await? {
            if selection.takes(&file.location) {
                return Ok(Some((file, (files, selection))));
            }
        }
        selection.report();
        Ok::<_, DataFusionError>(None)
    })
    .boxed()
}

/// The selection of files during one listing, and what it left out.
#[derive(Debug)]
struct Selection {
    location: Location,
    /// Whether the whole location is listed, not only a folder that a filter on partition columns leaves.
    is_whole: bool,
    skipped: Count,
    others: Others,
    is_empty: bool,
}

impl Selection {
    fn takes(&mut self, file: &StorePath) -> bool {
        if self.location.contains(file) {
            self.is_empty = false;
            return true;
        }
        if !self.location.hides(file) {
            self.others.add(file);
            self.skipped.add(usize::from(!self.location.is_pattern()));
        }
        false
    }

    /// Logs the number of skipped files, and warns if no file was taken.
    fn report(&self) {
        let Self { location, skipped, .. } = self;
        if skipped.value() > 0 {
            tracing::info!(%location, files = skipped.value(), "skipped files that are no images by name");
        }
        if self.is_empty && self.is_whole {
            tracing::warn!("{}", nothing_found(location, &self.others));
        }
    }
}

/// Why a location gives no file, and what there is instead.
fn nothing_found(location: &Location, others: &Others) -> String {
    let remark = others.unsupported().map_or_else(String::new, |remark| format!("; {remark}"));
    if !location.is_pattern() {
        return match others.is_empty() {
            true => format!("{location} holds no files"),
            false => format!("{location} holds no {}, but {others}{remark}", location.kind()),
        };
    }
    let folder = location.folder_as_written();
    let path = location.path_of(location.prefix());
    let path = Some(Path::new(&path)).filter(|_| location.is_local());
    let holds = match path {
        Some(path) if !path.is_dir() => format!("there is no folder {folder}{}", nearest::hint(path)),
        Some(path) if others.is_empty() && has_folder(path) => {
            format!("{folder} holds folders, but no files; '**' matches across folders")
        }
        _ if others.is_empty() => format!("{folder} holds no files"),
        _ => format!("{folder} holds {others}"),
    };
    format!("{location} matches no file; {holds}{remark}")
}

fn not_found(location: &Location) -> DataFusionError {
    location.error(format!("there is no such file or folder{}", location.hint())).into()
}
