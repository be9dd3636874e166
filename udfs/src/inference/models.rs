//! The models behind the inference functions, as a trait.

use std::any::Any;
use std::fmt::Debug;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;

use super::call::Call;

/// The models of a session, as used by the functions.
pub trait Models: Any + Debug + Send + Sync {
    /// Name of the model for calls that name none.
    fn default_model(&self, config: &ConfigOptions) -> String;

    /// Type of the predictions of `call` on inputs of these types. Reads only the model's specification.
    ///
    /// # Errors
    /// An unknown model, or one that does not support the request or the inputs.
    fn prediction_type(&self, call: &Call, inputs: &[DataType]) -> Result<DataType>;

    /// Computes the predictions of `call`, on the calling thread.
    ///
    /// `inputs` have equal lengths and types accepted by [`Self::prediction_type`]. The result has one row per input
    /// row, of the type returned there.
    ///
    /// # Errors
    /// An unknown model, or one that can't be loaded. An image that can't be decoded is an error only if the
    /// session is configured so; otherwise its row holds the reason or is NULL.
    fn predict(&self, call: &Call, inputs: &[ArrayRef], config: &ConfigOptions) -> Result<ArrayRef>;
}
