//! The stores of a session, by scheme and bucket.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::object_store::ObjectStore;
use parking_lot::RwLock;
use url::{Position, Url};

use super::local::LocalStore;
use super::provider;

/// Opens the store of a URL on first use, with the settings of the environment.
///
/// `file://`, `s3://`, `gs://`, `az://`, `abfss://` and `http(s)://` are supported without registration; an
/// application's own stores are registered as with any registry.
///
/// ```
/// # use std::sync::Arc;
/// # use datafusion::execution::runtime_env::RuntimeEnvBuilder;
/// use seequel::stores::StoreRegistry;
///
/// # fn main() -> datafusion::error::Result<()> {
/// let registry = Arc::new(StoreRegistry::default());
/// let runtime = RuntimeEnvBuilder::new().with_object_store_registry(registry).build_arc()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StoreRegistry {
    stores: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Default for StoreRegistry {
    fn default() -> Self {
        let local: Arc<dyn ObjectStore> = Arc::new(LocalStore::default());
        Self { stores: RwLock::new(HashMap::from([("file://".to_owned(), local)])) }
    }
}

impl ObjectStoreRegistry for StoreRegistry {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.stores.write().insert(key(url), store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let removed = self.stores.write().remove(&key(url));
        removed.ok_or_else(|| internal_datafusion_err!("no object store is registered for {}", key(url)))
    }

    /// # Errors
    /// [`crate::Error`] if the scheme is unknown, or the environment's settings contradict each other.
    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Some(store) = self.stores.read().get(&key(url)) {
            return Ok(Arc::clone(store));
        }
        let store = provider::open(url, &BTreeMap::new())?;
        // If two queries get here at once, both use the store inserted first.
        Ok(Arc::clone(self.stores.write().entry(key(url)).or_insert(store)))
    }
}

/// Scheme, bucket and user, because Azure puts the container before the account; never a password.
fn key(url: &Url) -> String {
    let user = url.username();
    let at = if user.is_empty() { "" } else { "@" };
    format!("{}://{user}{at}{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort])
}

#[cfg(test)]
mod tests {
    use datafusion::object_store::local::LocalFileSystem;

    use super::*;

    fn keyed(url: &str) -> String {
        key(&Url::parse(url).unwrap())
    }

    #[test]
    fn containers_of_one_account_are_different_stores() {
        assert_eq!(keyed("abfss://a@x.dfs.core.windows.net/p"), "abfss://a@x.dfs.core.windows.net");
        assert_ne!(keyed("abfss://a@x.dfs.core.windows.net/"), keyed("abfss://b@x.dfs.core.windows.net/"));
        assert_eq!(keyed("https://user:secret@host:8080/a"), "https://user@host:8080");
        assert_eq!(keyed("file:///tmp/a"), "file://");
    }

    #[test]
    fn a_bucket_is_opened_once_and_may_be_replaced() -> Result<()> {
        let registry = StoreRegistry::default();
        let url = Url::parse("s3://bucket/photos").unwrap();
        let first = registry.get_store(&url)?;
        assert!(Arc::ptr_eq(&first, &registry.get_store(&Url::parse("s3://bucket/other").unwrap())?));
        registry.register_store(&url, Arc::new(LocalFileSystem::new()));
        assert!(!Arc::ptr_eq(&first, &registry.get_store(&url)?));
        registry.deregister_store(&url)?;
        assert!(registry.deregister_store(&url).is_err());
        Ok(())
    }

    #[test]
    fn the_error_of_an_unknown_scheme_lists_the_known_ones() {
        let error = StoreRegistry::default().get_store(&Url::parse("ftp://host/a").unwrap()).unwrap_err();
        assert!(error.to_string().contains("ftp://host: files are read from"), "{error}");
    }
}
