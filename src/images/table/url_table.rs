//! `SELECT … FROM 'photos/*.jpg'`: locations as tables.
//!
//! ```text
//!  'photos/*.jpg', 'photos/**' ────────────────────────► ImagesTable
//!  'results.parquet' ──────────────────────────────────► DataFusion's table
//!  'photos/', 'photos/*' ─► names of the first files ─┬► images: ImagesTable
//!                           listing/content.rs        └► Parquet, CSV and the like: DataFusion's table
//! ```

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::common::plan_datafusion_err;
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::error::Result;
use datafusion::object_store::ObjectStore;

use super::images_table::ImagesTable;
use crate::images::listing::{Content, Location, expand_home};

/// Creates tables for one query from names that are locations: of images, or of files that DataFusion reads.
///
/// The extension decides; for folders and patterns without one, the names of the first files do.
#[derive(Debug, Default)]
pub struct UrlTables {
    /// DataFusion's factory, for Parquet, CSV, JSON and the like; its session must be set.
    pub(crate) files: DynamicListTableFactory,
}

#[async_trait]
impl UrlTableFactory for UrlTables {
    /// # Errors
    /// [`crate::Error`] if there is no such image file, or neither images nor files that DataFusion reads are at the
    /// location, or both; those of DataFusion for other files.
    async fn try_new(&self, url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if Location::names_images(url) || self.has_images(url).await? {
            let table = ImagesTable::open_local(Location::parse(url)?)?;
            return Ok(Some(Arc::new(table)));
        }
        // As a location, a name alone would find a folder of data, which would stand in the way of CREATE TABLE.
        if is_name(url) {
            return Ok(None);
        }
        self.files.try_new(&expand_home(url)).await
    }
}

impl UrlTables {
    /// Whether the files at a location whose name has no extension are images.
    async fn has_images(&self, url: &str) -> Result<bool> {
        // HTTP has no listing.
        if is_name(url) || url.starts_with("http") || has_extension(url) {
            return Ok(false);
        }
        let location = Location::parse(url)?;
        let is_one_file = location.may_be_file() && location.is_local();
        if is_one_file || location.files().is_some() {
            return Ok(false);
        }
        let Content { images, data, rest } = Content::of(&location, self.store(&location)?).await?;
        match (images.is_empty(), data.is_empty()) {
            (false, true) => Ok(true),
            (true, false) => Ok(false),
            (false, false) => Err(location
                .error(format!(
                    "it holds images ({images}) and data ({data}); name the extension, as in 'folder/*.csv', or read \
                     the images with read_images('{location}')"
                ))
                .into()),
            (true, true) => {
                let nothing = if location.is_pattern() { "it matches" } else { "it holds" };
                let remark = rest.unsupported().map_or_else(String::new, |remark| format!("; {remark}"));
                let found = if rest.is_empty() { "no files".to_owned() } else { format!("{rest}{remark}") };
                let hint = "name the extension, or read images of any name with read_images";
                Err(location.error(format!("{nothing} neither images nor data, but {found}; {hint}")).into())
            }
        }
    }

    fn store(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        let session = self.files.session_store().get_session().upgrade();
        let session = session.ok_or_else(|| plan_datafusion_err!("the session has ended"))?;
        let runtime = Arc::clone(session.read().runtime_env());
        runtime.object_store(location.store_url())
    }
}

/// Whether this is the name of a table: neither a path nor a pattern, nor the name of a file by its extension.
fn is_name(url: &str) -> bool {
    !url.contains(['/', '*']) && !has_extension(url)
}

/// Whether the name of a file or pattern ends in an extension; a folder's name never does.
fn has_extension(url: &str) -> bool {
    !url.ends_with('/') && !Path::new(&*expand_home(url)).is_dir() && {
        let extension = Path::new(url).extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| !extension.contains(['*', '?', '[', '/', '{']))
    }
}
