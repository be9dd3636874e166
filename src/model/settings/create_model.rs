//! The `CREATE MODEL` statement.

use std::collections::BTreeMap;

/// A parsed `CREATE MODEL` statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateModel {
    /// Name of the model in SQL.
    pub name: String,
    /// Replace a model of that name.
    pub or_replace: bool,
    /// Keep an existing model of that name.
    pub if_not_exists: bool,
    /// Path of the ONNX file, or its URL: `file://`, `hf://organisation/repository@revision/file` or `https://`.
    pub location: String,
    /// OPTIONS, as text.
    pub options: BTreeMap<String, String>,
}
