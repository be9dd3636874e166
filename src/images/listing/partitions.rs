//! Partition columns: the `key=value` folders in a file's path, as in Hive.

use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;
use futures::{Stream, TryStreamExt};

use super::location::Location;
use super::walk::first_files;

/// Number of files inspected to find the partition columns of a location.
const SAMPLED_FILES: usize = 16;

/// The keys common to all of the first `files`, outermost folder first.
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

/// As [`discover`], but synchronous: the keys of the first files of a local folder or pattern. A remote location gets
/// no partition columns, because it would have to be listed first; `CREATE EXTERNAL TABLE` does that.
pub(crate) fn discover_local(location: &Location) -> Vec<String> {
    if !location.is_local() || location.may_be_file() || location.files().is_some() {
        return vec![];
    }
    common(location, &first_files(location, |file| location.contains(file), SAMPLED_FILES))
}

/// The keys common to the paths of all `files`.
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

/// The value of the partition column `key` from the folder at `depth` below the location; `None` if that folder has
/// another key.
pub(crate) fn value<'a>(
    location: &'a Location,
    file: &'a StorePath,
    depth: usize,
    key: &str,
) -> Option<&'a str> {
    let folder = location.folders(file).get(depth).copied()?;
    folder.strip_prefix(key)?.strip_prefix('=')
}
