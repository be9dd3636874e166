//! The sink around a format's own: it checks the target, and puts the files in place once all are complete.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::ObjectStore;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::StreamExt;
use tracing::Instrument;

use super::commit::to_its_end;
use super::failed::ErrorsFile;
use super::files::{
    Discarded, SinkMetrics, StagedStore, Target, forget_listings, nested_as_json, with_store,
};

/// Writes a whole target or nothing.
#[derive(Debug)]
pub(super) struct AtomicSink {
    /// The format's operator, of which only the sink is used.
    writer: DataSinkExec,
    /// The schema of the rows, if the format can't hold their nested values, which become text.
    nested: Option<SchemaRef>,
    target: Target,
    /// Lists the rows that failed.
    errors: Option<ErrorsFile>,
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
        errors: Option<ErrorsFile>,
    ) -> Arc<dyn ExecutionPlan> {
        let Some(sink) = writer.downcast_ref::<DataSinkExec>().cloned() else { return writer };
        let (input, order) = (Arc::clone(sink.input()), sink.sort_order().clone());
        let metrics = ExecutionPlanMetricsSet::new();
        Arc::new(DataSinkExec::new(
            input,
            Arc::new(Self { writer: sink, nested, target, errors, metrics }),
            order,
        ))
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
        let span = tracing::debug_span!("write", target = %self.target.url()).or_current();
        self.write(data, context).instrument(span).await
    }
}

impl AtomicSink {
    async fn write(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let failed = self.errors.as_ref().map(ErrorsFile::rows);
        let runtime = context.runtime_env();
        let inner = runtime.object_store(self.target.url())?;
        let metrics = SinkMetrics::new(&self.metrics);
        let store = StagedStore::open(&self.target, inner, metrics.stored_bytes.clone()).await?;
        let store = Arc::new(store);
        let _discarded = Discarded(Arc::clone(&store));
        let mut errors = match (&self.errors, failed) {
            (Some(errors), Some(failed)) => {
                Some(errors.open(failed, context, metrics.listed_failures.clone()).await?)
            }
            _ => None,
        };
        let staged = with_store(context, &self.target, Arc::clone(&store) as Arc<dyn ObjectStore>);
        let rows = match self.writer.sink().write_all(self.converted(data, &metrics), &staged).await {
            Ok(rows) => rows,
            Err(error) => {
                let error = store.fail(error).await;
                return Err(match (&self.errors, errors) {
                    (Some(file), Some(errors)) => file.ended_by(errors, error).await,
                    _ => error,
                });
            }
        };
        if let Some(errors) = &mut errors {
            errors.complete().await?;
        }
        let committed = to_its_end(async move {
            store.commit().await?;
            match errors {
                Some(errors) => errors.commit().await,
                None => Ok(()),
            }
        });
        let committed = committed.await;
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
