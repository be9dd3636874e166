//! A sink's surroundings: the context in which it finds another store, and the listings that its files outdate.

use std::sync::Arc;

use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::object_store::ObjectStore;
use datafusion::prelude::SessionConfig;

use super::target::Target;

/// The context of a sink, in which `store` is the one of the target.
pub(in crate::write) fn with_store(
    context: &TaskContext,
    target: &Target,
    store: Arc<dyn ObjectStore>,
) -> Arc<TaskContext> {
    let registry = DefaultObjectStoreRegistry::new();
    registry.register_store(target.url().as_ref(), store);
    let runtime = context.runtime_env();
    let runtime = RuntimeEnv { object_store_registry: Arc::new(registry), ..RuntimeEnv::clone(&runtime) };
    changed(context, context.session_config().clone(), Arc::new(runtime))
}

/// The same context, in which a sink writes one file, or one for each partition: parts are small.
///
/// # Errors
/// None in practice.
pub(in crate::write) fn one_file(context: &TaskContext) -> Result<Arc<TaskContext>> {
    let mut config = context.session_config().clone();
    config.options_mut().execution.minimum_parallel_output_files = ConfigNonZeroUsize::try_new(1)?;
    Ok(changed(context, config, context.runtime_env()))
}

/// The same context with these settings and stores.
fn changed(context: &TaskContext, config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config,
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        runtime,
    ))
}

/// Makes tables over the target list its files again.
pub(in crate::write) fn forget_listings(runtime: &RuntimeEnv, target: &Target) {
    let Some(listings) = runtime.cache_manager.get_list_files_cache() else { return };
    let target = target.url().prefix();
    for listing in listings.list_entries().into_keys() {
        if listing.path.prefix_matches(target) || target.prefix_matches(&listing.path) {
            listings.remove(&listing);
        }
    }
}
