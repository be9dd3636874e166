//! Metrics of a sink: what it stored, and how long it worked and waited.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

/// Metrics of one statement.
#[derive(Debug, Clone)]
pub(in crate::write) struct SinkMetrics {
    /// Bytes given to the store.
    pub(in crate::write) stored_bytes: Count,
    /// Failed rows that the errors file lists.
    pub(in crate::write) listed_failures: Count,
    /// The sink waits for rows.
    input_wait_time: Time,
    /// From rows to the request for the next: the sink encodes them, unless other threads do, or waits for them.
    write_time: Time,
    /// Converting values that the format can't hold.
    pub(in crate::write) convert_time: Time,
    /// When the sink got its last rows.
    since: Arc<Mutex<Option<Instant>>>,
}

impl SinkMetrics {
    pub(in crate::write) fn new(set: &ExecutionPlanMetricsSet) -> Self {
        let time = |name: &'static str| MetricBuilder::new(set).subset_time(name, 0);
        Self {
            stored_bytes: MetricBuilder::new(set).global_counter("stored_bytes"),
            listed_failures: MetricBuilder::new(set).global_counter("listed_failures"),
            input_wait_time: time("input_wait_time"),
            write_time: time("write_time"),
            convert_time: time("convert_time"),
            since: Arc::default(),
        }
    }

    /// The stream `data`, measured as the sink polls it.
    pub(in crate::write) fn measure(&self, data: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Measured { data, metrics: self.clone(), waiting_since: None })
    }

    /// Ends the time since the sink got its last rows.
    pub(in crate::write) fn end(&self) {
        if let Some(since) = self.since.lock().take() {
            self.write_time.add_elapsed(since);
        }
    }
}

struct Measured {
    data: SendableRecordBatchStream,
    metrics: SinkMetrics,
    waiting_since: Option<Instant>,
}

impl Stream for Measured {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let since = match self.waiting_since {
            Some(since) => since,
            None => {
                self.metrics.end();
                *self.waiting_since.insert(Instant::now())
            }
        };
        let next = ready!(self.data.poll_next_unpin(context));
        self.metrics.input_wait_time.add_elapsed(since);
        self.waiting_since = None;
        *self.metrics.since.lock() = Some(Instant::now());
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Measured {
    fn schema(&self) -> SchemaRef {
        self.data.schema()
    }
}
