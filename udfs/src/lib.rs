//! Seequel's SQL functions, one a file, and the small trait through which they reach a model.
//!
//! ```text
//!  SELECT embed(image)  ──► Inference (a ScalarUDF: reads the arguments, asks for the type of the answer)
//!                              │ most calls: taken out of the plan before it runs
//!                              └ CASE branches, lambdas: Models::answer, row batch by row batch
//! ```
//!
//! Nothing here knows ONNX, files or threads: a function is a *marker* that makes a call type-check in every
//! clause. The engine recognises [`Inference`] in a plan and runs it in an operator of its own; only calls that no
//! operator can reach come back through [`Models`].

mod call;
mod classify;
mod classify_top_k;
mod detect;
mod embed;
mod images;
mod inference;
mod predict;

use std::fmt::Debug;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;

pub use call::{Call, Request};
pub use classify::{classification_fields, classification_type};
pub use classify_top_k::{ranked_class_fields, ranked_classes_type};
pub use detect::{box_fields, detection_fields, detections_type};
pub use embed::embedding_type;
pub use images::{ImageArray, check_image_type};
pub use inference::Inference;

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
