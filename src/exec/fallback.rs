//! Calls that can't be moved into an operator: branches of CASE and COALESCE, bodies of lambdas.
//!
//! DataFusion evaluates such a branch only for the rows that take it, inside the expression. The function then runs
//! its model here, on the thread that evaluates the expression and on the rows it is given.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use seequel_udfs::{Call, ImageArray, Models};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::context::Context;
use super::decode_infer::{Inputs, decode_infer};
use super::inference_plan::InferencePlan;
use super::metrics::InferMetrics;
use super::query_cancellation::QueryCancellation;
use super::running::Running;
use super::worker_memory::WorkerMemory;
use crate::config::InferenceOptions;
use crate::model::ModelRegistry;
use crate::model::input::Assignment;

impl Models for ModelRegistry {
    fn default_model(&self, config: &ConfigOptions) -> String {
        InferenceOptions::of(config).default_model
    }

    fn prediction_type(&self, call: &Call, inputs: &[DataType]) -> Result<DataType> {
        self.predictor(&call.model)?.prediction_type(call.request, inputs)
    }

    fn predict(&self, call: &Call, inputs: &[ArrayRef], config: &ConfigOptions) -> Result<ArrayRef> {
        let options = InferenceOptions::of(config);
        let predictor = self.predictor(&call.model)?;
        let types: Vec<_> = inputs.iter().map(|input| input.data_type().clone()).collect();
        let Assignment { image, numbers } = predictor.assign(call.request, &types)?;
        let numbers: Vec<Vec<usize>> = numbers.into_iter().map(Iterator::collect).collect();
        let mut plan = InferencePlan::default();
        let metrics = InferMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let data_type = predictor.prediction_type(call.request, &types)?;
        plan.add(call.request, &predictor, &numbers, &data_type, &metrics);
        // An expression has no access to metrics or the memory pool; its tensors are bounded by the model's batch size.
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let context = Context {
            max_image_pixels: options.max_image_pixels,
            metrics: &metrics,
            reservation: &MemoryConsumer::new("inference in an expression").register(&pool),
            memory: &WorkerMemory::default(),
            cancellation: &QueryCancellation::part(config),
            batch: None,
            decoders: None,
            decoded: None,
        };
        let inputs = Inputs {
            rows: inputs.first().map_or(0, |input| input.len()),
            images: image.map(|position| ImageArray::try_new(&inputs[position])).transpose()?,
            numbers: inputs,
        };
        let predictions = blocking(|| {
            let _running = Running::begin(context.cancellation);
            decode_infer(&inputs, &plan, 0, &context)
        })?;
        match predictions.into_iter().next() {
            Some(predictions) => {
                predictions.accept(options.on_error, context.metrics, |_| Ok("a row".to_owned()))
            }
            None => internal_err!("one call gives one column"),
        }
    }
}

/// Runs `work`; on a multi-threaded runtime, tokio can then move this thread's other tasks to another thread.
fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
