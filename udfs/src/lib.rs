//! Seequel's SQL functions, one a file, and the small trait through which they reach a model.
//!
//! ```text
//!  SELECT classify(image)  ──► Classify (a ScalarUDF: types, argument checks)
//!                                 │ most calls: taken out of the plan before it runs
//!                                 └ CASE branches, lambdas: Models::classify, row batch by row batch
//! ```
//!
//! Nothing here knows ONNX, files or threads: a function is a *marker* that makes a call type-check in every
//! clause. The engine recognises [`Classify`] in a plan and runs it in an operator of its own; only calls that no
//! operator can reach come back through [`Models`].

mod classify;
mod images;

use std::fmt::Debug;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;

pub use classify::{Classify, classification_fields, classification_type};
pub use images::{ImageArray, check_image_type, image_column};

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
