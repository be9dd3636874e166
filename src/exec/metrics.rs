//! Metrics of inference in `EXPLAIN ANALYZE`.
//!
//! Where a worker's time goes adds up to its life:
//!
//! ```text
//!  input_wait ─► decode ─► preprocess ─► queue ─► load, once ─► infer ─► postprocess ─► output_wait
//!                └──── decode_wait ───┘ if other threads decode
//! ```

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
    /// Decoding.
    pub(crate) decode_time: Time,
    /// Resizing and normalising.
    pub(crate) preprocess_time: Time,
    /// From a model's outputs to predictions.
    pub(crate) postprocess_time: Time,
    /// A worker waits for its next morsel.
    pub(crate) input_wait_time: Time,
    /// A worker waits for the threads that decode for it.
    pub(crate) decode_wait_time: Time,
    /// A worker waits until its rows are taken.
    pub(crate) output_wait_time: Time,
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
            preprocess_time: time("preprocess_time"),
            postprocess_time: time("postprocess_time"),
            input_wait_time: time("input_wait_time"),
            decode_wait_time: time("decode_wait_time"),
            output_wait_time: time("output_wait_time"),
            run_times: RunTimes {
                queue: time("queue_time"),
                load: time("load_time"),
                infer: time("infer_time"),
            },
        }
    }
}
