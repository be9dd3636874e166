//! A folder, file or pattern of images as a table.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::common::project_schema;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::listing::helpers::{evaluate_partition_prefix, expr_applicable_for_cols};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::path::Path as StorePath;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;

use crate::Result;
use crate::failures::QueryFailures;
use crate::images::listing::{Details, ListingCounts, Location, list, partitions};
#[cfg(feature = "cluster")]
use crate::images::scan::Dealing;
use crate::images::scan::{ImagesExec, Scan, columns};

/// The images of a [`Location`], one per row.
///
/// | column | type | filled from |
/// |---|---|---|
/// | `path` | Utf8View | the listing: the absolute local path, or the URL |
/// | `name` | Utf8View | the listing: the file's name, without its folders |
/// | `image` | BinaryView | the file: its encoded bytes; NULL if it can't be read, and inference gives the reason |
/// | `size` | UInt64 | the listing: bytes |
/// | `modified` | Timestamp(µs, UTC) | the listing |
/// | `etag` | Utf8 | the listing; NULL if the store has none |
/// | `width`, `height` | UInt32 | the header: pixels as displayed; NULL if it can't be read |
/// | `format` | Utf8 | the header: `jpeg`, `png`, `webp`, `gif`, `bmp` or `tiff` |
/// | `key` of `key=value` folders | Utf8 | the path; NULL for files in other folders |
///
/// Each scan lists the files again; nothing is cached.
#[derive(Debug)]
pub struct ImagesTable {
    location: Location,
    partition_columns: Vec<String>,
    schema: SchemaRef,
}

impl ImagesTable {
    /// A table with known partition columns, outermost folder first.
    ///
    /// # Errors
    /// [`crate::Error`] if a partition column has the name of another column.
    pub fn try_new(location: Location, partition_columns: Vec<String>) -> Result<Self> {
        let schema = columns::table_schema(&partition_columns);
        for (index, field) in schema.fields().iter().enumerate() {
            if schema.fields().iter().skip(index + 1).any(|other| other.name() == field.name()) {
                return Err(location.error(format!(
                    "the partition column '{}' has the name of another column; rename its folders",
                    field.name()
                )));
            }
        }
        Ok(Self { location, partition_columns, schema })
    }

    /// A table whose partition columns are those of the first files listed.
    ///
    /// # Errors
    /// Those of [`Self::try_new`] and of the listing.
    pub async fn open(session: &dyn Session, location: Location) -> Result<Self> {
        let store = session.runtime_env().object_store(location.store_url())?;
        let files = list::list(location.clone(), None, store, Details::Paths, ListingCounts::default());
        let partition_columns = partitions::discover(&location, files).await?;
        Self::try_new(location, partition_columns)
    }

    /// A table whose partition columns are those of the first local files; none if the files are remote.
    ///
    /// # Errors
    /// Those of [`Self::try_new`].
    pub(crate) fn open_local(location: Location) -> Result<Self> {
        let partition_columns = partitions::discover_local(&location);
        Self::try_new(location, partition_columns)
    }

    /// Where the files are.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    fn names(&self, columns: &[usize]) -> Vec<&str> {
        columns.iter().map(|column| self.schema.field(*column).name().as_str()).collect()
    }

    /// The folder that contains every file that passes `filters`, if these fix the outer partition columns.
    fn only_folder(&self, filters: &[Expr]) -> Option<StorePath> {
        if self.location.may_be_file() || self.location.files().is_some() {
            return None;
        }
        let typed: Vec<_> =
            self.partition_columns.iter().map(|name| (name.clone(), DataType::Utf8)).collect();
        // A percent sign indicates a percent-encoded value, which a store may hold unencoded.
        evaluate_partition_prefix(&typed, filters).filter(|folder| !folder.as_ref().contains('%'))
    }
}

#[async_trait]
impl TableProvider for ImagesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let listing_columns = columns::listing_columns(&self.schema);
        let names = self.names(&listing_columns);
        let support = |filter: &&Expr| {
            if expr_applicable_for_cols(&names, filter) && !has_subquery(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let filter_columns = columns::listing_columns(&self.schema);
        let filter_schema = project_schema(&self.schema, Some(&filter_columns))?;
        let df_schema = DFSchema::try_from(Arc::clone(&filter_schema))?;
        let predicates = filters
            .iter()
            .map(|filter| session.create_physical_expr(filter.clone(), &df_schema))
            .collect::<DataFusionResult<Vec<Arc<dyn PhysicalExpr>>>>()?;
        let scan = Scan {
            location: self.location.clone(),
            folder: self.only_folder(filters),
            schema: project_schema(&self.schema, Some(&projection))?,
            projection,
            filter_columns,
            filter_schema,
            filter: (!predicates.is_empty()).then(|| conjunction(predicates)),
            skip: None,
            limit,
            failures: QueryFailures::of(session.config_options()),
        };
        #[cfg(feature = "cluster")]
        if let Some(dealing) = Dealing::of(session.config_options()) {
            return dealing.deal(scan, &self.partition_columns, &session.task_ctx()).await;
        }
        Ok(Arc::new(ImagesExec::new(scan)))
    }
}

/// Whether `filter` contains a subquery, which a scan can't run.
fn has_subquery(filter: &Expr) -> bool {
    let is_subquery = |expr: &Expr| {
        matches!(
            expr,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        )
    };
    // The closure can't fail. If it did, the filter would stay above the scan, where it is always correct.
    filter.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true)
}
