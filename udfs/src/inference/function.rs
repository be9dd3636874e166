//! The definition of an inference function.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{DocSection, Documentation, TypeSignatureClass};

use super::call::{Arguments, ReadCall};

/// Section of the functions in the documentation.
pub(crate) const SECTION: DocSection =
    DocSection { include: true, label: "Inference Functions", description: None };

/// The definition of an inference function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Starts every error message.
    pub(crate) signature: &'static str,
    /// Position of the argument that names the model.
    pub(crate) model: usize,
    /// Argument types of an example call, for `SHOW FUNCTIONS`.
    pub(crate) example: fn() -> Vec<TypeSignatureClass>,
    /// Type of the prediction, if known without a model, for `SHOW FUNCTIONS`.
    pub(crate) example_type: fn() -> Option<DataType>,
    /// Reads the literals of a call.
    pub(crate) read: fn(&Arguments<'_>) -> Result<ReadCall>,
    pub(crate) documentation: LazyLock<Documentation>,
}
