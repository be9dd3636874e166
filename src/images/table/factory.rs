//! `CREATE EXTERNAL TABLE photos STORED AS IMAGES LOCATION 'photos/'`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::CreateExternalTable;

use super::images_table::ImagesTable;
use crate::images::listing::Location;
use crate::{Error, Result};

/// Creates an [`ImagesTable`] from `CREATE EXTERNAL TABLE … STORED AS IMAGES`; registered as `IMAGES`.
#[derive(Debug, Default)]
pub struct ImagesTableFactory;

#[async_trait]
impl TableProviderFactory for ImagesTableFactory {
    /// # Errors
    /// [`Error::Images`] if there is no such location, or the statement has clauses that images do not support.
    async fn create(
        &self,
        session: &dyn Session,
        statement: &CreateExternalTable,
    ) -> DataFusionResult<Arc<dyn TableProvider>> {
        let location = Location::parse(only_location(statement)?)?;
        reject_unsupported_clauses(statement, &location)?;
        let table = match statement.table_partition_cols.as_slice() {
            [] => ImagesTable::open(session, location).await?,
            columns => ImagesTable::try_new(location, columns.to_vec())?,
        };
        Ok(Arc::new(table))
    }
}

/// The location of a statement that must have exactly one.
pub(crate) fn only_location(statement: &CreateExternalTable) -> Result<&str> {
    match statement.locations.as_slice() {
        [location] => Ok(location),
        several => Err(Error::Images {
            location: several.join("', '"),
            reason: format!(
                "STORED AS {} takes one LOCATION; a pattern such as 'photos/*/*.jpg' names many files",
                statement.file_type
            ),
        }),
    }
}

/// Rejects options, an order, and columns other than string partition columns.
pub(crate) fn reject_unsupported_clauses(statement: &CreateExternalTable, location: &Location) -> Result<()> {
    if let Some(option) = statement.options.keys().min() {
        // DataFusion puts options without a namespace into that of file formats.
        let option = option.strip_prefix("format.").unwrap_or(option);
        return Err(location
            .error(format!("unknown option '{option}'; STORED AS {} takes none", statement.file_type)));
    }
    if !statement.order_exprs.is_empty() {
        return Err(location.error("WITH ORDER is not supported for images; use ORDER BY in queries"));
    }
    let is_string_partition = |field: &FieldRef| {
        field.data_type().is_string() && statement.table_partition_cols.contains(field.name())
    };
    match statement.schema.fields().iter().find(|field| !is_string_partition(field)) {
        Some(field) => Err(location.error(format!(
            "the columns of images are given; remove '{}' (string columns in PARTITIONED BY may be named)",
            field.name()
        ))),
        None => Ok(()),
    }
}
