//! The sink around a format's own: it checks the target, and puts the files in place once all are complete.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::Result;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::ObjectStore;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::StreamExt;
use tracing::Instrument;

use super::columns::nested_as_json;
use super::metrics::SinkMetrics;
use super::store::StagedStore;
use super::target::Target;

/// Writes a whole target or nothing.
#[derive(Debug)]
pub(super) struct AtomicSink {
    /// The format's operator, of which only the sink is used.
    writer: DataSinkExec,
    /// The schema of the rows, if the format can't hold their nested values, which become text.
    nested: Option<SchemaRef>,
    target: Target,
    metrics: ExecutionPlanMetricsSet,
}

impl AtomicSink {
    /// The operator that writes to `target` what `writer` would write, if that has a sink.
    ///
    /// `nested` is the schema of the rows if `writer` expects those of [`nested_as_json`].
    pub(super) fn around(
        writer: Arc<dyn ExecutionPlan>,
        nested: Option<SchemaRef>,
        target: Target,
    ) -> Arc<dyn ExecutionPlan> {
        let Some(sink) = writer.downcast_ref::<DataSinkExec>().cloned() else { return writer };
        let (input, order) = (Arc::clone(sink.input()), sink.sort_order().clone());
        let metrics = ExecutionPlanMetricsSet::new();
        Arc::new(DataSinkExec::new(input, Arc::new(Self { writer: sink, nested, target, metrics }), order))
    }

    /// The rows as the format's sink expects them.
    fn converted(&self, data: SendableRecordBatchStream, metrics: &SinkMetrics) -> SendableRecordBatchStream {
        let data = metrics.measure(data);
        if self.nested.is_none() {
            return data;
        }
        let time = metrics.convert_time.clone();
        let texts = data.map(move |batch| {
            let batch = batch?;
            let _timer = time.timer();
            Ok(nested_as_json(&batch)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.writer.sink().schema()), texts))
    }
}

#[async_trait]
impl DataSink for AtomicSink {
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.writer.metrics().unwrap_or_default();
        metrics.extend(self.metrics.clone_inner());
        Some(metrics)
    }

    fn schema(&self) -> &SchemaRef {
        self.nested.as_ref().unwrap_or_else(|| self.writer.sink().schema())
    }

    async fn write_all(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let span = tracing::debug_span!("write", target = %self.target.url());
        self.write(data, context).instrument(span).await
    }
}

impl AtomicSink {
    async fn write(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let runtime = context.runtime_env();
        let inner = runtime.object_store(self.target.url())?;
        let metrics = SinkMetrics::new(&self.metrics);
        let store = StagedStore::open(&self.target, inner, metrics.stored_bytes.clone()).await?;
        let store = Arc::new(store);
        let _discarded = Discarded(Arc::clone(&store));
        let staged = with_store(context, &self.target, Arc::clone(&store) as Arc<dyn ObjectStore>);
        let rows = match self.writer.sink().write_all(self.converted(data, &metrics), &staged).await {
            Ok(rows) => rows,
            Err(error) => return Err(store.fail(error).await),
        };
        let committed = store.commit().await;
        metrics.end();
        forget_listings(&runtime, &self.target);
        committed.map(|()| rows)
    }
}

impl DisplayAs for AtomicSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.writer.sink().fmt_as(format, f)
    }
}

/// Removes the files of a statement that is dropped before its end.
struct Discarded(Arc<StagedStore>);

impl Drop for Discarded {
    fn drop(&mut self) {
        self.0.discard();
    }
}

/// The context of a sink, in which `store` is the one of the target.
fn with_store(context: &TaskContext, target: &Target, store: Arc<dyn ObjectStore>) -> Arc<TaskContext> {
    let registry = DefaultObjectStoreRegistry::new();
    registry.register_store(target.url().as_ref(), store);
    let runtime = context.runtime_env();
    let runtime = RuntimeEnv { object_store_registry: Arc::new(registry), ..RuntimeEnv::clone(&runtime) };
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone(),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        Arc::new(runtime),
    ))
}

/// Makes tables over the target list its files again.
fn forget_listings(runtime: &RuntimeEnv, target: &Target) {
    let Some(listings) = runtime.cache_manager.get_list_files_cache() else { return };
    let target = target.url().prefix();
    for listing in listings.list_entries().into_keys() {
        if listing.path.prefix_matches(target) || target.prefix_matches(&listing.path) {
            listings.remove(&listing);
        }
    }
}
