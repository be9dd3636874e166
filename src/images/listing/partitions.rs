//! Partition columns: the `key=value` folders that lead to a file, as Hive writes them.

use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;
use futures::{Stream, TryStreamExt};

use super::location::Location;
use super::walk::first_files;

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
    Ok(common(location, sample.iter().map(|file| &file.location)))
}

/// As [`discover`], without waiting: of a local folder or pattern, what its first files say. A remote one has to be listed
/// first, which `CREATE EXTERNAL TABLE` does; here it has no partition columns.
pub(crate) fn discover_local(location: &Location) -> Vec<String> {
    if !location.is_local() || location.may_be_file() || location.files().is_some() {
        return vec![];
    }
    let folder = location.path_of(location.prefix());
    common(location, &first_files(location, folder.as_ref(), SAMPLED_FILES))
}

/// The keys that lead to all of `files`.
fn common<'a>(location: &Location, files: impl IntoIterator<Item = &'a StorePath>) -> Vec<String> {
    let keys_of = |file: &'a StorePath| -> Vec<String> {
        let folders = location.folders(file);
        folders.into_iter().map_while(|folder| Some(folder.split_once('=')?.0.to_string())).collect()
    };
    let common = files.into_iter().map(keys_of).reduce(|common, keys| {
        common.into_iter().zip(keys).take_while(|(a, b)| a == b).map(|(key, _)| key).collect()
    });
    common.unwrap_or_default()
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
