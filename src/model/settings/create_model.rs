//! What `CREATE MODEL` says.

use std::collections::BTreeMap;

/// What `CREATE MODEL` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateModel {
    /// Name of the model in SQL.
    pub name: String,
    /// Replace a model of that name.
    pub or_replace: bool,
    /// Leave a model of that name as it is.
    pub if_not_exists: bool,
    /// Where the ONNX file is: a path, or a URL of `file://`, `hf://organisation/repository@revision/file` or `https://`.
    pub location: String,
    /// OPTIONS, as text.
    pub options: BTreeMap<String, String>,
}
