//! Metrics of inference in `EXPLAIN ANALYZE`.
//!
//! Where a worker's time goes adds up to its life, `worker_time`, since each moment counts for one of these:
//!
//! ```text
//!  input_wait ─► memory_wait ─► argument ─► decode ─► preprocess ─► queue ─► load, once ─► infer ─► postprocess ─► output_wait
//!                                           └──── decode_wait ───┘ if other threads decode
//! ```
//!
//! What is done between two of them, such as gathering the numbers of a batch, counts as `argument`.
//!
//! What depends on the model has its name as a label, which `EXPLAIN ANALYZE VERBOSE` shows.

mod device_use;
mod expressions;
mod observed;
mod row_record;
mod row_sample;
mod sampling;

use std::sync::Arc;

use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricValue, Time,
};
use parking_lot::Mutex;
use tracing::Span;

pub(crate) use self::device_use::{DEVICE_USE, DeviceUse};
pub(crate) use self::expressions::ExpressionMetrics;
pub(crate) use self::observed::Observed;
pub(crate) use self::row_record::{ErrorKind, RowRecord, Rows, SlowImage};
pub(crate) use self::row_sample::Chosen;
pub use self::row_sample::{Found, SampledRow};
use self::sampling::EachSecond;
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
    /// Rows that were left out because they failed.
    pub(crate) skipped_rows: Count,
    /// Morsels for which less memory was left than for full batches.
    pub(crate) shrunk_morsels: Count,
    /// From the thread's start to its end; without an exchange, from the first poll to the end for each morsel that can be in
    /// flight.
    pub(crate) worker_time: Time,
    /// Preparing the models' inputs: evaluating those of calls, image functions included, memory for tensors, rows of numbers.
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
    /// Threads that decode for a worker wait for memory.
    pub(crate) decoders_memory_wait_time: Time,
    /// A worker waits until its rows are taken.
    pub(crate) output_wait_time: Time,
    set: ExecutionPlanMetricsSet,
    partition: usize,
    /// Those of each model so far.
    of_models: Arc<Mutex<OfModels>>,
}

type OfModels = Vec<(Arc<Model>, ModelMetrics)>;

/// Metrics of one model in one partition.
#[derive(Debug, Clone)]
pub(crate) struct ModelMetrics {
    /// Rows that the model ran on.
    pub(crate) inferred_rows: Count,
    /// Rows that were added to batches of a fixed size.
    pub(crate) padded_rows: Count,
    /// Runs of the model.
    pub(crate) batches: Count,
    /// Batches that failed as a whole, such as for a device without memory for them, and were run again in halves.
    pub(crate) retried_batches: Count,
    pub(crate) run_times: RunTimes,
    pub(crate) device_use: DeviceUse,
    batch_spans: Arc<EachSecond>,
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
            skipped_rows: counter("skipped_rows"),
            shrunk_morsels: counter("shrunk_morsels"),
            worker_time: time("worker_time"),
            argument_time: time("argument_time"),
            decode_time: time("decode_time"),
            preprocess_time: time("preprocess_time"),
            postprocess_time: time("postprocess_time"),
            input_wait_time: time("input_wait_time"),
            decode_wait_time: time("decode_wait_time"),
            memory_wait_time: time("memory_wait_time"),
            decoders_memory_wait_time: time("decoders_memory_wait_time"),
            output_wait_time: time("output_wait_time"),
            set: set.clone(),
            partition,
            of_models: Arc::default(),
        }
    }

    /// The metrics of a model.
    pub(crate) fn of(&self, model: &Arc<Model>) -> ModelMetrics {
        let mut all = self.of_models.lock();
        if let Some((_, known)) = all.iter().find(|(known, _)| known == model) {
            return known.clone();
        }
        let metrics = self.new_of(model);
        all.push((Arc::clone(model), metrics.clone()));
        metrics
    }

    /// The models that have metrics.
    fn models(&self) -> Vec<Arc<Model>> {
        self.of_models.lock().iter().map(|(model, _)| Arc::clone(model)).collect()
    }

    fn new_of(&self, model: &Model) -> ModelMetrics {
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
            device_use: DeviceUse::new(&self.set, self.partition, &model.spec().name),
            batch_spans: Arc::default(),
        }
    }
}

impl ModelMetrics {
    /// The span of a run of `model` on so many rows, for one run a second.
    pub(crate) fn batch_span(&self, model: &Model, rows: usize) -> Span {
        if self.batch_spans.is_due() {
            tracing::debug_span!("batch", model = model.spec().name, rows)
        } else {
            Span::none()
        }
    }
}
