//! Lists the files of a location as a stream.
//!
//! The store is listed lazily: dropping the stream stops the listing. Files come in the order of the store: by name in
//! object stores, in directory order on a local disk. Sorting would require the whole listing in memory, so a query
//! that needs an order must use `ORDER BY path`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use datafusion::error::Result;
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::physical_plan::metrics::Count;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use super::location::Location;
use super::walk::{Details, walk};

/// Number of concurrent requests for named files.
const CONCURRENT_REQUESTS: usize = 32;

/// Counts of files that a listing leaves out.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListingCounts {
    /// Files in a folder that are hidden or not images by their names.
    pub(crate) skipped: Count,
    /// Entries of a local folder that can't be listed: no permission, looping or dangling links, names that can't be
    /// expressed as a path.
    pub(crate) unlisted: Count,
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
    let described = location.to_string();
    let ListingCounts { skipped, unlisted } = counts;
    let counted = skipped.clone();
    let files = if location.is_local() {
        walk(location.clone(), location.path_of(prefix).into(), details, unlisted)
    } else {
        store.list(Some(prefix)).map_err(Into::into).boxed()
    };
    let files = files.try_filter(move |file| {
        let contained = location.contains(&file.location);
        if !contained && !location.is_pattern() {
            counted.add(1);
        }
        std::future::ready(contained)
    });
    files.chain(report_skipped(described, skipped)).boxed()
}

/// An empty stream that logs the number of skipped files when the listing ends.
fn report_skipped(location: String, skipped: Count) -> impl Stream<Item = Result<ObjectMeta>> {
    stream::poll_fn(move |_| {
        if skipped.value() > 0 {
            tracing::info!(%location, files = skipped.value(), "skipped files that are hidden or no images by name");
        }
        Poll::Ready(None)
    })
}

fn not_found(location: &Location) -> datafusion::error::DataFusionError {
    location.error("there is no such file or folder").into()
}
