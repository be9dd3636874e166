//! `SELECT … FROM 'photos/*.jpg'`: file names as tables.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::error::Result;

use super::images_table::ImagesTable;
use crate::images::listing::Location;

/// Creates tables for one query from names that are locations: of images, or of files that DataFusion reads.
///
/// The extension decides. A folder may contain any files, so folders of images need `read_images`.
#[derive(Debug, Default)]
pub struct UrlTables {
    /// DataFusion's factory, for Parquet, CSV, JSON and the like; its session must be set.
    pub(crate) files: DynamicListTableFactory,
}

#[async_trait]
impl UrlTableFactory for UrlTables {
    /// # Errors
    /// [`crate::Error`] if there is no such image file; those of DataFusion for other files.
    async fn try_new(&self, url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !Location::names_images(url) {
            return self.files.try_new(url).await;
        }
        let table = ImagesTable::open_local(Location::parse(url)?)?;
        Ok(Some(Arc::new(table)))
    }
}
