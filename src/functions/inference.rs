//! Inference: calls of models.
//!
//! The type of a prediction is the same for all models, except for `embed` and `predict`. An embedding is a list here;
//! in SQL its type has the model's length. `predict` takes the session, because its fields are the model's outputs.

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{Expr, lit};
use seequel_udfs::Request;

use crate::plan::unbound;

/// Selects the function; the number of classes is among the arguments.
const TOP_K: Request = Request::ClassifyTopK { k: 1 };

/// The most probable class of an image, by the session's default model: `Struct<label, class, confidence, model,
/// error>`.
///
/// ```
/// use datafusion::functions::core::expr_ext::FieldAccessor;
/// use datafusion::prelude::col;
/// use seequel::functions::classify;
///
/// let label = classify(col("image")).field("label");
/// ```
pub fn classify(image: Expr) -> Expr {
    call(Request::Classify, vec![image])
}

/// [`classify`] by the model or ensemble of that name.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::classify_with;
///
/// let prediction = classify_with(col("image"), "resnet").alias("prediction");
/// ```
pub fn classify_with(image: Expr, model: &str) -> Expr {
    call(Request::Classify, vec![image, lit(model)])
}

/// The `k` most probable classes of an image, best first, by the session's default model: `List<Struct<label, class,
/// confidence>>`. `k` is at least 1.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::classify_top_k;
///
/// let best_five = classify_top_k(col("image"), 5);
/// ```
pub fn classify_top_k(image: Expr, k: u32) -> Expr {
    call(TOP_K, vec![image, lit(k)])
}

/// [`classify_top_k`] by the model of that name, or an ensemble by mean or weights.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::classify_top_k_with;
///
/// let best_five = classify_top_k_with(col("image"), 5, "resnet");
/// ```
pub fn classify_top_k_with(image: Expr, k: u32, model: &str) -> Expr {
    call(TOP_K, vec![image, lit(k), lit(model)])
}

/// The objects in an image, surest first, by the session's default model: `List<Struct<label, class, confidence,
/// box>>`. `DataFrame::unnest_columns` makes them rows.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::detect;
///
/// let objects = detect(col("image")).alias("objects");
/// ```
pub fn detect(image: Expr) -> Expr {
    call(Request::Detect, vec![image])
}

/// [`detect`] by the model of that name.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::detect_with;
///
/// let objects = detect_with(col("image"), "yolo");
/// ```
pub fn detect_with(image: Expr, model: &str) -> Expr {
    call(Request::Detect, vec![image, lit(model)])
}

/// An image as a vector, by the session's default model: `List<Float32>`.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::{cosine_similarity, embed};
///
/// let similarity = cosine_similarity(embed(col("image")), col("vector"));
/// ```
pub fn embed(image: Expr) -> Expr {
    call(Request::Embed, vec![image])
}

/// [`embed`] by the model of that name.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::embed_with;
///
/// let vector = embed_with(col("image"), "resnet").alias("vector");
/// ```
pub fn embed_with(image: Expr, model: &str) -> Expr {
    call(Request::Embed, vec![image, lit(model)])
}

/// Why an image can't be read, decoded or inferred: `Utf8`, NULL if all is well.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::{embed, image_error};
///
/// let columns = vec![embed(col("image")), image_error(col("image")).alias("error")];
/// ```
pub fn image_error(image: Expr) -> Expr {
    call(Request::ImageError, vec![image])
}

/// [`image_error`] for an image that the model of that name must be able to infer.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::image_error_with;
///
/// let error = image_error_with(col("image"), "resnet");
/// ```
pub fn image_error_with(image: Expr, model: &str) -> Expr {
    call(Request::ImageError, vec![image, lit(model)])
}

/// All outputs of a model of `session`, as the fields of a struct. `inputs` are the model's, in their order: images,
/// lists of numbers, or columns of numbers.
///
/// ```
/// use datafusion::error::Result;
/// use datafusion::functions::core::expr_ext::FieldAccessor;
/// use datafusion::prelude::{Expr, SessionContext, col};
/// use seequel::functions::predict;
///
/// fn churn(ctx: &SessionContext) -> Result<Expr> {
///     let outputs = predict(ctx, "churn", vec![col("age"), col("income"), col("visits")])?;
///     Ok(outputs.field("label"))
/// }
/// ```
///
/// # Errors
/// A session without Seequel. A model that it does not have is an error of the `DataFrame`.
pub fn predict(session: &dyn FunctionRegistry, model: &str, inputs: Vec<Expr>) -> Result<Expr> {
    let mut arguments = vec![lit(model)];
    arguments.extend(inputs);
    Ok(session.udf("predict")?.call(arguments))
}

/// A call that planning binds to the session's models.
fn call(request: Request, arguments: Vec<Expr>) -> Expr {
    unbound(request).call(arguments)
}
