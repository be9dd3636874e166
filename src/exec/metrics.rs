//! Metrics of inference in `EXPLAIN ANALYZE`.

use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, Time,
};

use crate::model::runtime::RunTimes;

/// Metrics of one partition of inference.
#[derive(Debug, Clone)]
pub(crate) struct InferMetrics {
    pub(crate) baseline: BaselineMetrics,
    /// Rows that models ran on, counted once per model.
    pub(crate) inferred_rows: Count,
    /// Decoded images, however many models use them.
    pub(crate) decoded_images: Count,
    /// Runs of the decoder: one per scale at which models need an image.
    pub(crate) decodes: Count,
    /// Runs of a model.
    pub(crate) batches: Count,
    /// Batches that failed as a whole, such as for a device without memory for them, and were run again row by row.
    pub(crate) retried_batches: Count,
    /// Predictions that are errors.
    pub(crate) failed_rows: Count,
    /// Decoding, resizing and normalising.
    pub(crate) decode_time: Time,
    pub(crate) run_times: RunTimes,
}

impl InferMetrics {
    pub(crate) fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(set).counter(name, partition);
        let time = |name: &'static str| MetricBuilder::new(set).subset_time(name, partition);
        Self {
            baseline: BaselineMetrics::new(set, partition),
            inferred_rows: counter("inferred_rows"),
            decoded_images: counter("decoded_images"),
            decodes: counter("decodes"),
            batches: counter("batches"),
            retried_batches: counter("retried_batches"),
            failed_rows: counter("failed_rows"),
            decode_time: time("decode_time"),
            run_times: RunTimes {
                queue: time("queue_time"),
                load: time("load_time"),
                infer: time("infer_time"),
            },
        }
    }
}
