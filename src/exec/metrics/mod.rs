//! Metrics of inference in `EXPLAIN ANALYZE`.
//!
//! Where a worker's time goes adds up to its life, `worker_time`:
//!
//! ```text
//!  input_wait ─► memory_wait ─► argument ─► decode ─► preprocess ─► queue ─► load, once ─► infer ─► postprocess ─► output_wait
//!                                           └──── decode_wait ───┘ if other threads decode
//! ```
//!
//! What depends on the model has its name as a label, which `EXPLAIN ANALYZE VERBOSE` shows.

mod row_record;

use std::sync::Arc;

use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricValue, Time,
};

pub(crate) use self::row_record::{RowRecord, Rows, SlowImage};
use crate::model::runtime::{Model, RunTimes};

/// The label of metrics that depend on the model.
pub(crate) const MODEL: &str = "model";

/// Name of the metric with the distribution of run times.
pub(crate) const RUN_TIME: &str = "run_time";

/// Metrics of one partition of inference.
#[derive(Debug, Clone)]
pub(crate) struct InferMetrics {
    pub(crate) baseline: BaselineMetrics,
    /// Decoded images, however many models use them.
    pub(crate) decoded_images: Count,
    /// Encoded bytes of these images.
    pub(crate) decoded_bytes: Count,
    /// Runs of the decoder: one per scale at which models need an image.
    pub(crate) decodes: Count,
    /// Predictions that are errors.
    pub(crate) failed_rows: Count,
    /// Morsels for which less memory was left than for full batches.
    pub(crate) shrunk_morsels: Count,
    /// From the thread's start to its end.
    pub(crate) worker_time: Time,
    /// Evaluating the inputs of calls, image functions included.
    pub(crate) argument_time: Time,
    /// Decoding.
    pub(crate) decode_time: Time,
    /// Resizing and normalising.
    pub(crate) preprocess_time: Time,
    /// From a model's outputs to columns.
    pub(crate) postprocess_time: Time,
    /// A worker waits for its next morsel.
    pub(crate) input_wait_time: Time,
    /// A worker waits for the threads that decode for it.
    pub(crate) decode_wait_time: Time,
    /// A worker waits for memory that the pool refuses.
    pub(crate) memory_wait_time: Time,
    /// A worker waits until its rows are taken.
    pub(crate) output_wait_time: Time,
    set: ExecutionPlanMetricsSet,
    partition: usize,
}

/// Metrics of one model in one partition.
#[derive(Debug, Clone)]
pub(crate) struct ModelMetrics {
    /// Rows that the model ran on.
    pub(crate) inferred_rows: Count,
    /// Rows that were added to batches of a fixed size.
    pub(crate) padded_rows: Count,
    /// Runs of the model.
    pub(crate) batches: Count,
    /// Batches that failed as a whole, such as for a device without memory for them, and were run again row by row.
    pub(crate) retried_batches: Count,
    pub(crate) run_times: RunTimes,
}

impl InferMetrics {
    pub(crate) fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(set).counter(name, partition);
        let time = |name: &'static str| MetricBuilder::new(set).subset_time(name, partition);
        Self {
            baseline: BaselineMetrics::new(set, partition),
            decoded_images: counter("decoded_images"),
            decoded_bytes: counter("decoded_bytes"),
            decodes: counter("decodes"),
            failed_rows: counter("failed_rows"),
            shrunk_morsels: counter("shrunk_morsels"),
            worker_time: time("worker_time"),
            argument_time: time("argument_time"),
            decode_time: time("decode_time"),
            preprocess_time: time("preprocess_time"),
            postprocess_time: time("postprocess_time"),
            input_wait_time: time("input_wait_time"),
            decode_wait_time: time("decode_wait_time"),
            memory_wait_time: time("memory_wait_time"),
            output_wait_time: time("output_wait_time"),
            set: set.clone(),
            partition,
        }
    }

    /// The metrics of a model, to be kept: another call makes others, which are added up with these.
    pub(crate) fn of(&self, model: &Model) -> ModelMetrics {
        let builder = || MetricBuilder::new(&self.set).with_new_label(MODEL, model.spec().name.clone());
        let counter = |name: &'static str| builder().counter(name, self.partition);
        let time = |name: &'static str| builder().subset_time(name, self.partition);
        let run_times = RunTimes {
            queue: time("queue_time"),
            load: time("load_time"),
            infer: time("infer_time"),
            ..RunTimes::default()
        };
        let runs = Arc::new(run_times.runs.clone());
        let runs = MetricValue::Custom { name: RUN_TIME.into(), value: runs };
        builder().with_partition(self.partition).build(runs);
        ModelMetrics {
            inferred_rows: counter("inferred_rows"),
            padded_rows: counter("padded_rows"),
            batches: counter("batches"),
            retried_batches: counter("retried_batches"),
            run_times,
        }
    }
}
