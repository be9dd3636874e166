//! What the files at a location are, by the names of the first ones: `FROM 'photos/'` names no format.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::object_store::ObjectStore;
use datafusion::object_store::path::Path as StorePath;
use futures::{StreamExt, TryStreamExt};

use super::location::Location;
use super::others::Others;
use super::walk::first_files;

/// Maximum number of files looked at.
const LOOKED_AT: usize = 1000;

/// Extensions of the files that DataFusion reads, and of their compressions.
const DATA_EXTENSIONS: [&str; 5] = ["arrow", "avro", "csv", "json", "parquet"];
const COMPRESSIONS: [&str; 4] = [".gz", ".bz2", ".xz", ".zst"];

/// The first files of a folder or pattern, without hidden ones, by kind.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) images: Others,
    /// Files that DataFusion reads.
    pub(crate) data: Others,
    pub(crate) rest: Others,
}

impl Content {
    /// Looks at the names of the first files.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn of(location: &Location, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let takes = |file: &StorePath| match location.is_pattern() {
            true => location.contains(file),
            false => !location.hides(file),
        };
        let files = if location.is_local() {
            first_files(location, takes, LOOKED_AT)
        } else {
            let listed = store.list(Some(location.prefix())).take(LOOKED_AT).map_ok(|file| file.location);
            listed.try_filter(|file| std::future::ready(takes(file))).try_collect().await?
        };
        let mut content = Self::default();
        for file in &files {
            let name = file.filename().unwrap_or_default().to_ascii_lowercase();
            let plain = COMPRESSIONS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
            if name.rsplit_once('.').is_some_and(|(_, found)| Location::is_image_extension(found)) {
                content.images.add(file);
            } else if DATA_EXTENSIONS.iter().any(|known| has_extension(plain, known)) {
                content.data.add(file);
            } else {
                content.rest.add(file);
            }
        }
        Ok(content)
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}
