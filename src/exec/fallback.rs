//! Calls that no operator can reach: branches of CASE and COALESCE, bodies of lambdas.
//!
//! DataFusion evaluates such a branch only for the rows that take it, inside the expression. The function then runs
//! its model here, on the thread that evaluates the expression, over the rows it is given.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::common::{exec_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use seequel_udfs::{ImageArray, Models};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::decode_infer::{Cancellation, Context, decode_infer};
use super::metrics::InferMetrics;
use super::worker_memory::WorkerMemory;
use crate::config::{InferenceOptions, OnError};
use crate::models::ModelRegistry;

impl Models for ModelRegistry {
    fn classify(&self, images: &ArrayRef, model: Option<&str>, config: &ConfigOptions) -> Result<ArrayRef> {
        let options = InferenceOptions::of(config);
        let model = self.get(model.unwrap_or(&options.default_model))?;
        // An expression sees neither metrics nor the memory pool; its tensors are bounded by the model's batch size.
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let context = Context {
            max_image_pixels: options.max_image_pixels,
            metrics: &InferMetrics::new(&ExecutionPlanMetricsSet::new(), 0),
            reservation: &MemoryConsumer::new("classify").register(&pool),
            memory: &WorkerMemory::default(),
            cancellation: &Cancellation::default(),
        };
        let array = ImageArray::try_new(images)?;
        let answers = blocking(|| decode_infer(&array, images.len(), &[model], &context))?;
        match answers.into_iter().next() {
            Some(answers) => match (options.on_error, answers.first_failure) {
                (OnError::Fail, Some((_, reason))) => {
                    exec_err!("an image: {reason} (inference.on_error is 'fail')")
                }
                (OnError::Null | OnError::Fail, _) => Ok(answers.column),
            },
            None => internal_err!("one model gives one column"),
        }
    }
}

/// Runs `work` so that tokio can move this thread's other tasks elsewhere, if there is an elsewhere.
fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
