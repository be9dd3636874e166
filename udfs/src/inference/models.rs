//! The models behind the inference functions, as a trait.

use std::fmt::Debug;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;

use super::call::Call;

/// The models of a session, as far as a function needs them.
pub trait Models: Debug + Send + Sync {
    /// Name of the model for calls that name none.
    fn default_model(&self, config: &ConfigOptions) -> String;

    /// Type of the predictions of `call` on inputs of such types. Looks at the model's specification and loads nothing.
    ///
    /// # Errors
    /// An unknown model, or one that can't serve the request, or not on such inputs.
    fn prediction_type(&self, call: &Call, inputs: &[DataType]) -> Result<DataType>;

    /// Makes the predictions of `call` at once, on the calling thread.
    ///
    /// `inputs` are of equal length and of types that [`Self::prediction_type`] took. The result has one row for each of
    /// theirs, of the type that it gave.
    ///
    /// # Errors
    /// An unknown model, or one that can't be loaded. A single image that can't be decoded is no error unless the
    /// session says so: its row says why, or is NULL.
    fn predict(&self, call: &Call, inputs: &[ArrayRef], config: &ConfigOptions) -> Result<ArrayRef>;
}
