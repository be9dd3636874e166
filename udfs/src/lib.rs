//! Seequel's SQL functions, one a file, and the small trait through which they reach a model.
//!
//! ```text
//!  SELECT embed(image)  ──► Inference (a ScalarUDF: reads the arguments, asks for the type of the answer)
//!                              │ most calls: taken out of the plan before it runs
//!                              └ CASE branches, lambdas: Models::answer, row batch by row batch
//!
//!  SELECT l2_distance(a, b) ──► VectorFunction<L2>: evaluated where it stands, as are all of plain_functions()
//! ```
//!
//! Nothing here knows ONNX, files or threads: an inference function is a *marker* that makes a call type-check in every
//! clause. The engine recognises [`Inference`] in a plan and runs it in an operator of its own; only calls that no
//! operator can reach come back through [`Models`].

mod call;
mod classify;
mod classify_top_k;
mod cosine_similarity;
mod detect;
mod embed;
mod hamming_distance;
mod images;
mod inference;
mod inner_product;
mod l2_distance;
mod predict;
mod signature;
mod vector_function;
mod vectors;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::ScalarUDF;

pub use call::{Call, Request};
pub use classify::{classification_fields, classification_type};
pub use classify_top_k::{ranked_class_fields, ranked_classes_type};
pub use cosine_similarity::{Cosine, CosineSimilarity};
pub use detect::{box_fields, detection_fields, detections_type};
pub use embed::embedding_type;
pub use hamming_distance::HammingDistance;
pub use images::{ImageArray, check_image_type, decoded_image_type, image_column};
pub use inference::Inference;
pub use inner_product::{Inner, InnerProduct};
pub use l2_distance::{L2, L2Distance};
pub use signature::{arguments, listed_signature};
pub use vector_function::{Kernel, VectorFunction};

/// The functions that need neither models nor a decoder.
#[must_use]
pub fn plain_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(CosineSimilarity::default())),
        Arc::new(ScalarUDF::new_from_impl(HammingDistance::default())),
        Arc::new(ScalarUDF::new_from_impl(InnerProduct::default())),
        Arc::new(ScalarUDF::new_from_impl(L2Distance::default())),
    ]
}

/// The models of a session, as far as a function needs them.
pub trait Models: Debug + Send + Sync {
    /// Name of the model that answers calls that name none.
    fn default_model(&self, config: &ConfigOptions) -> String;

    /// Type of the answers to `call` on inputs of such types. Looks at the model's specification and loads nothing.
    ///
    /// # Errors
    /// An unknown model, or one that can't answer the request, or not on such inputs.
    fn answer_type(&self, call: &Call, inputs: &[DataType]) -> Result<DataType>;

    /// Answers `call` here and now, on the calling thread.
    ///
    /// `inputs` are of equal length and of types that [`Self::answer_type`] took. The result has one row for each of
    /// theirs, of the type that it gave.
    ///
    /// # Errors
    /// An unknown model, or one that can't be loaded. A single image that can't be decoded is no error unless the
    /// session says so: its row says why, or is NULL.
    fn answer(&self, call: &Call, inputs: &[ArrayRef], config: &ConfigOptions) -> Result<ArrayRef>;
}
