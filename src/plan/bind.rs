//! Binds the inference functions of [`functions`](crate::functions), which know no models, to those of a session.
//!
//! ```text
//!  before: classify(image), of no models      after: classify(image), over the session's models and default model
//!          embed(image): List<Float32>               CAST(embed(image) AS List<Float32>), whose length is the model's
//! ```
//!
//! DataFusion applies such rewrites before its analyzer. Types must not change, because the expressions above have
//! theirs already; hence the cast of an embedding, whose length is not known without a model.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ScalarUDF, cast};
use seequel_udfs::{
    Call, Inference, Models, Request, check_image_type, classification_type, detections_type,
    ranked_classes_type,
};

/// The models of functions that are not bound.
static NO_MODELS: LazyLock<Arc<dyn Models>> = LazyLock::new(|| Arc::new(NoModels));

/// The inference function for such requests, not bound to models yet.
pub(crate) fn unbound(request: Request) -> ScalarUDF {
    Inference::requesting(request, &NO_MODELS, &ConfigOptions::default())
}

/// Binds inference functions to the models of a session.
#[derive(Debug)]
pub struct BindInference {
    models: Arc<dyn Models>,
}

impl BindInference {
    /// The rewrite for a session with `models`.
    #[must_use]
    pub fn new(models: Arc<dyn Models>) -> Self {
        Self { models }
    }
}

impl FunctionRewrite for BindInference {
    fn name(&self) -> &'static str {
        "bind_inference"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else {
            return Ok(Transformed::no(expr));
        };
        let implementation: &dyn Any = func.inner().as_ref();
        let bound = match implementation.downcast_ref::<Inference>() {
            Some(inference) if Arc::ptr_eq(inference.models(), &NO_MODELS) => {
                (inference.over(&self.models, config), inference.call(&args)?.0.request)
            }
            _ => return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
        };
        let (func, request) = bound;
        let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(func), args));
        Ok(Transformed::yes(match request {
            Request::Embed => cast(call, any_embedding()),
            _ => call,
        }))
    }
}

/// The type of an embedding of unknown length.
fn any_embedding() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true)))
}

/// Knows the types of predictions that are the same for all models.
#[derive(Debug)]
struct NoModels;

impl Models for NoModels {
    fn default_model(&self, _config: &ConfigOptions) -> String {
        String::new()
    }

    fn prediction_type(&self, call: &Call, inputs: &[DataType]) -> Result<DataType> {
        if let [image] = inputs {
            check_image_type(call.request.signature(), image)?;
        }
        match call.request {
            Request::Classify => Ok(classification_type()),
            Request::ClassifyTopK { .. } => Ok(ranked_classes_type()),
            Request::Detect => Ok(detections_type()),
            Request::Embed => Ok(any_embedding()),
            Request::ImageError | Request::ImageFunction => Ok(DataType::Utf8),
            Request::Predict => internal_err!("predict is always bound to models"),
        }
    }

    fn predict(&self, call: &Call, _inputs: &[ArrayRef], _config: &ConfigOptions) -> Result<ArrayRef> {
        exec_err!(
            "{}: the session has no models; build its state with SeequelExt::with_seequel",
            call.request.signature()
        )
    }
}
