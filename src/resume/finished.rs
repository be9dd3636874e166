//! The finished keys of a run whose files a task of a cluster lists.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::Result;
use datafusion::object_store::ObjectStore;

use super::keys::{Key, KeySet};
use super::log::Log;

/// What was finished when a run began, as its log says: the same for every task that asks.
#[derive(Debug, Clone)]
pub(crate) struct FinishedKeys {
    /// The statement's folder in the user's words.
    pub(crate) written: String,
    pub(crate) url: ListingTableUrl,
    /// The folder on this machine; `None` if it is in a remote store.
    pub(crate) local: Option<PathBuf>,
    pub(crate) run: String,
    pub(crate) key: Key,
}

impl FinishedKeys {
    /// The keys, from the log in `store`.
    ///
    /// # Errors
    /// Those of the store; a log that is damaged.
    pub(crate) async fn read(self, store: Arc<dyn ObjectStore>) -> Result<KeySet> {
        let log = Log::open(store, self.url.prefix(), self.local.as_deref(), &self.written).await?;
        Ok(KeySet::of_hashes(log.before(&self.run).finished_hashes().await?))
    }
}
