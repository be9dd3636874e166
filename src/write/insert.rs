//! INSERT into a table of files, with an [`AtomicSink`].

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::listing::ListingTable;
use datafusion::error::Result;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::files::{Mode, Target, unwritable};
use super::sink::AtomicSink;

/// A table of files into which statements insert whole files or nothing.
#[derive(Debug)]
pub(super) struct AtomicTable {
    /// A [`ListingTable`].
    files: Arc<dyn TableProvider>,
}

impl AtomicTable {
    /// `table` with INSERT of whole files; `None` if it is not one of files.
    pub(super) fn new(table: &Arc<dyn TableProvider>) -> Option<Self> {
        table.is::<ListingTable>().then(|| Self { files: Arc::clone(table) })
    }
}

#[async_trait]
impl TableProvider for AtomicTable {
    fn schema(&self) -> SchemaRef {
        self.files.schema()
    }

    fn table_type(&self) -> TableType {
        self.files.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.files.scan(session, projection, filters, limit).await
    }

    /// # Errors
    /// Columns that the format can't hold; those of DataFusion.
    async fn insert_into(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = match operation {
            InsertOp::Append => Mode::Append,
            InsertOp::Overwrite => Mode::Overwrite,
            InsertOp::Replace => return self.files.insert_into(session, input, operation).await,
        };
        // DataFusion's formats only append; files are replaced when the new ones are complete.
        let rows = input.schema();
        let writer = self.files.insert_into(session, input, InsertOp::Append).await?;
        let Some(table) = self.files.downcast_ref::<ListingTable>() else { return Ok(writer) };
        let Some(url) = table.table_paths().first() else { return Ok(writer) };
        let format = table.options().format.get_ext();
        let target = Target::of_table(url, mode, format.clone());
        if let Some((column, reason)) = unwritable(&format, &rows) {
            return Err(target.refused(format!("{format} can't hold the column '{column}': {reason}")));
        }
        Ok(AtomicSink::around(writer, None, target, None))
    }
}
