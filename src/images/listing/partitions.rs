//! Partition columns: the `key=value` folders that lead to a file, as Hive writes them.

use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;
use futures::{Stream, TryStreamExt};

use super::location::Location;

/// Files that are looked at to find the partition columns of a location.
const SAMPLED_FILES: usize = 16;

/// The keys that all of the first `files` share, outermost folder first.
///
/// # Errors
/// Those of the listing.
pub(crate) async fn discover(
    location: &Location,
    files: impl Stream<Item = Result<ObjectMeta>>,
) -> Result<Vec<String>> {
    let sample: Vec<ObjectMeta> = futures::StreamExt::take(files, SAMPLED_FILES).try_collect().await?;
    let keys_of = |file: &ObjectMeta| -> Vec<String> {
        let folders = location.folders(&file.location);
        folders.into_iter().map_while(|folder| Some(folder.split_once('=')?.0.to_string())).collect()
    };
    let common = sample.iter().map(keys_of).reduce(|common, keys| {
        common.into_iter().zip(keys).take_while(|(a, b)| a == b).map(|(key, _)| key).collect()
    });
    Ok(common.unwrap_or_default())
}

/// The value of the partition column `key`, which is the folder at `depth` below the location; `None` where that
/// folder is none of this key.
pub(crate) fn value<'a>(
    location: &'a Location,
    file: &'a StorePath,
    depth: usize,
    key: &str,
) -> Option<&'a str> {
    let folder = location.folders(file).get(depth).copied()?;
    folder.strip_prefix(key)?.strip_prefix('=')
}
