//! What makes one inference function different from another.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{DocSection, Documentation, TypeSignatureClass};

use super::call::{Arguments, ReadCall};

/// Where the documentation lists the functions.
pub(crate) const SECTION: DocSection =
    DocSection { include: true, label: "Inference Functions", description: None };

/// What makes one inference function different from another.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// How it is called: the start of every error.
    pub(crate) signature: &'static str,
    /// Types of a call's arguments, for `SHOW FUNCTIONS`.
    pub(crate) example: fn() -> Vec<TypeSignatureClass>,
    /// Type of the prediction as far as it is known without a model, for `SHOW FUNCTIONS`.
    pub(crate) example_type: fn() -> Option<DataType>,
    /// Reads a call's literals.
    pub(crate) read: fn(&Arguments<'_>) -> Result<ReadCall>,
    pub(crate) documentation: LazyLock<Documentation>,
}
