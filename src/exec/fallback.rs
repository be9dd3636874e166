//! Calls that can't be moved into an operator: branches of CASE and COALESCE, bodies of lambdas.
//!
//! DataFusion evaluates such a branch only for the rows that take it, inside the expression. The function then runs
//! its model here, on the thread that evaluates the expression and on the rows it is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use seequel_udfs::{Call, ImageArray, Models, Request};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::decode_infer::{
    Context, InferencePlan, Inferred, Inputs, Reservation, WorkerMemory, decode_infer,
};
use super::failures::BatchFailures;
use super::metrics::ExpressionMetrics;
use super::query_cancellation::QueryCancellation;
use super::running::Running;
use crate::clock::Clock;
use crate::config::{InferenceOptions, OnError};
use crate::failures::{QueryFailures, RowNames};
use crate::model::input::Assignment;
use crate::model::{ModelRegistry, Predictor};

impl Models for ModelRegistry {
    fn default_model(&self, config: &ConfigOptions) -> String {
        InferenceOptions::of(config).default_model
    }

    fn prediction_type(&self, call: &Call, inputs: &[DataType]) -> Result<DataType> {
        self.called(call)?.prediction_type(call.request, inputs)
    }

    fn predict(&self, call: &Call, inputs: &[ArrayRef], config: &ConfigOptions) -> Result<ArrayRef> {
        predict(&self.called(call)?, call.request, inputs, config)
    }
}

/// Computes the predictions of a call in an expression with these settings, on the calling thread.
///
/// # Errors
/// Those of [`Models::predict`].
pub(crate) fn predict(
    predictor: &Predictor,
    request: Request,
    inputs: &[ArrayRef],
    config: &ConfigOptions,
) -> Result<ArrayRef> {
    let options = InferenceOptions::of(config);
    let types: Vec<_> = inputs.iter().map(|input| input.data_type().clone()).collect();
    let Assignment { image, numbers } = predictor.assign(request, &types)?;
    let numbers: Vec<Vec<usize>> = numbers.into_iter().map(Iterator::collect).collect();
    let mut plan = InferencePlan::default();
    let metrics = ExpressionMetrics::of(config);
    let (_lap, clock) = (Clock::start(&metrics.worker_time), Clock::start(&metrics.argument_time));
    let data_type = predictor.prediction_type(request, &types)?;
    plan.add(request, predictor, &numbers, &data_type, &metrics);
    // An expression has no access to the memory pool; its tensors are bounded by the model's batch size.
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let context = Context {
        bounds: options.bounds,
        metrics: &metrics,
        reservation: &Reservation::new("inference in an expression", &pool),
        memory: &WorkerMemory::default(),
        cancellation: &QueryCancellation::part(config),
        batches: vec![],
        decoders: None,
        observed: None,
        in_hand: None,
    };
    let inputs = Inputs {
        rows: inputs.first().map_or(0, |input| input.len()),
        images: image.map(|position| ImageArray::try_new(&inputs[position])).transpose()?,
        numbers: inputs,
        decoded: BTreeMap::new(),
    };
    let Inferred { predictions, .. } = blocking(|| {
        let _running = Running::begin(context.cancellation);
        decode_infer(&inputs, &plan, 0, &context, &clock)
    })?;
    let _postprocessing = clock.during(&metrics.postprocess_time);
    metrics.baseline.record_output(inputs.rows);
    match predictions.into_iter().next() {
        Some(predictions) => {
            // An expression can't leave out a row.
            let on_error = if options.on_error == OnError::Skip { OnError::Null } else { options.on_error };
            let options = InferenceOptions { on_error, ..options };
            let name = |row| Ok(RowNames::of(config, row));
            let mut failures = BatchFailures::default();
            let column = failures.accept(predictions, on_error, context.metrics, name)?;
            failures.report(inputs.rows, &QueryFailures::of(config), &options, name)?;
            Ok(column)
        }
        None => internal_err!("one call gives one column"),
    }
}

/// Runs `work`; on a multi-threaded runtime, tokio can then move this thread's other tasks to another thread.
pub(crate) fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
