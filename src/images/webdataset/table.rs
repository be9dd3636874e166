//! The shards of a location as a table.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::object_store::ObjectMeta;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;

use super::columns::table_schema;
use super::exec::{ShardScan, WebDatasetExec};
#[cfg(feature = "cluster")]
use super::fetch::FetchShardsExec;
use crate::failures::QueryFailures;
use crate::images::listing::{Details, ListingCounts, Location, list};
#[cfg(feature = "cluster")]
use crate::images::scan::Dealing;

/// The samples in the tar files of a [`Location`], one per row.
///
/// | column | type | member |
/// |---|---|---|
/// | `path` | Utf8View | the shard's path or URL, and the key in it: `s3://bucket/000.tar/0001` |
/// | `name` | Utf8View | the end of the key, behind its last slash: `0001` |
/// | `image` | BinaryView | the first with an image extension; NULL if there is none |
/// | `json`, `txt` | Utf8View | the one of that kind; NULL if there is none, or it is not UTF-8 |
/// | `cls` | Int64 | the number in it; NULL if there is none |
///
/// Members of other kinds, hidden members, and links are skipped. Each scan lists the shards again.
#[derive(Debug)]
pub struct WebDatasetTable {
    location: Location,
    schema: SchemaRef,
}

impl WebDatasetTable {
    /// The table of a location; reads nothing.
    pub(crate) fn new(location: Location) -> Self {
        Self { location, schema: table_schema() }
    }

    async fn shards(&self, session: &dyn Session) -> Result<Vec<ObjectMeta>> {
        let store = session.runtime_env().object_store(self.location.store_url())?;
        let mut shards: Vec<_> =
            list::list(self.location.clone(), None, store, Details::Metadata, ListingCounts::default())
                .try_collect()
                .await?;
        shards.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok(shards)
    }
}

#[async_trait]
impl TableProvider for WebDatasetTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let shards = self.shards(session).await?;
        let scan = ShardScan {
            location: self.location.clone(),
            partitions: vec![],
            schema: project_schema(&self.schema, Some(&projection))?,
            projection,
            limit,
            failures: QueryFailures::of(session.config_options()),
        };
        #[cfg(feature = "cluster")]
        if let Some(dealing) = Dealing::of(session.config_options()) {
            return Ok(Arc::new(FetchShardsExec::new(dealing.deal_shards(&shards)?, scan)));
        }
        let partitions = session.config().target_partitions().min(shards.len()).max(1);
        Ok(Arc::new(WebDatasetExec::new(ShardScan { partitions: deal(shards, partitions), ..scan })))
    }
}

/// Distributes shards to partitions round-robin: by convention they have the same size.
fn deal(shards: Vec<ObjectMeta>, partitions: usize) -> Vec<Vec<ObjectMeta>> {
    let mut dealt = vec![Vec::new(); partitions];
    for (index, shard) in shards.into_iter().enumerate() {
        dealt[index % partitions].push(shard);
    }
    dealt
}
