//! Seequel's SQL functions, one a file, and the small trait through which they reach a model.
//!
//! ```text
//!  SELECT classify(image)  ──► Classify (a ScalarUDF: types, argument checks)
//!                                 │ most calls: taken out of the plan before it runs
//!                                 └ CASE branches, lambdas: Models::classify, row batch by row batch
//!
//!  SELECT l2_distance(a, b) ──► VectorFunction<L2>: evaluated where it stands, as are all of plain_functions()
//! ```
//!
//! Nothing here knows ONNX, files or threads: an inference function is a *marker* that makes a call type-check in every
//! clause. The engine recognises [`Classify`] in a plan and runs it in an operator of its own; only calls that no
//! operator can reach come back through [`Models`].

mod classify;
mod cosine_similarity;
mod hamming_distance;
mod images;
mod inner_product;
mod l2_distance;
mod signature;
mod vector_function;
mod vectors;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::ScalarUDF;

pub use classify::{Classify, classification_fields, classification_type};
pub use cosine_similarity::{Cosine, CosineSimilarity};
pub use hamming_distance::HammingDistance;
pub use images::{ImageArray, check_image_type, decoded_image_type};
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
    /// Classifies `images` here and now, on the calling thread.
    ///
    /// `images` is any array that [`ImageArray::try_new`] takes; `model` names a model, `None` the session's
    /// default. The result has one row for each image, of type [`classification_type`].
    ///
    /// # Errors
    /// An unknown model, or one that can't be loaded. A single image that can't be decoded is no error: its row says why.
    fn classify(&self, images: &ArrayRef, model: Option<&str>, config: &ConfigOptions) -> Result<ArrayRef>;
}
