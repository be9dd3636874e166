//! `CREATE EXTERNAL TABLE shards STORED AS WEBDATASET LOCATION 'shards/{000..009}.tar'`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::error::Result;
use datafusion::logical_expr::CreateExternalTable;

use super::table::WebDatasetTable;
use crate::images::listing::Location;
use crate::images::table::{only_location, reject_unsupported_clauses};

/// Creates a [`WebDatasetTable`] from `CREATE EXTERNAL TABLE … STORED AS WEBDATASET`; registered as `WEBDATASET`.
#[derive(Debug, Default)]
pub struct WebDatasetFactory;

#[async_trait]
impl TableProviderFactory for WebDatasetFactory {
    /// # Errors
    /// [`crate::Error`] if there is no such location, or the statement has clauses that shards do not support.
    async fn create(
        &self,
        _session: &dyn Session,
        statement: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        let location = Location::parse_shards(only_location(statement)?)?;
        if !statement.table_partition_cols.is_empty() {
            return Err(location.error("shards are not partitioned; leave out PARTITIONED BY").into());
        }
        reject_unsupported_clauses(statement, &location)?;
        Ok(Arc::new(WebDatasetTable::new(location)))
    }
}
