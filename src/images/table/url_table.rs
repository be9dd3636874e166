//! `SELECT … FROM 'photos/*.jpg'`: files as tables, by their names.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::error::Result;

use super::images_table::ImagesTable;
use crate::images::listing::Location;

/// Makes tables, for one query, of names that are locations: of images, or else of files that DataFusion reads.
///
/// The extension tells, since a folder may hold anything: folders of images are for `read_images`.
#[derive(Debug, Default)]
pub struct UrlTables {
    /// DataFusion's own, for Parquet, CSV, JSON and the like; it needs to be told its session.
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
