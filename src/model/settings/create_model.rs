//! The `CREATE MODEL` statement, from SQL or from an application.

use std::collections::BTreeMap;

/// A `CREATE MODEL` statement.
///
/// ```
/// use seequel::model::CreateModel;
///
/// let create = CreateModel::new("resnet", "models/resnet50.onnx").with_option("labels", "labels.txt");
/// assert!(!create.or_replace);
/// ```
///
/// [`ModelRegistry::create`](crate::model::ModelRegistry::create) registers it.
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

impl CreateModel {
    /// Without options; the name must not be taken.
    pub fn new(name: impl Into<String>, location: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            or_replace: false,
            if_not_exists: false,
            location: location.into(),
            options: BTreeMap::new(),
        }
    }

    /// Adds one of OPTIONS, with its value as text: `"4"`.
    #[must_use]
    pub fn with_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(key.into(), value.into());
        self
    }

    /// Whether to replace a model of that name.
    #[must_use]
    pub fn with_or_replace(mut self, or_replace: bool) -> Self {
        self.or_replace = or_replace;
        self
    }

    /// Whether to keep an existing model of that name.
    #[must_use]
    pub fn with_if_not_exists(mut self, if_not_exists: bool) -> Self {
        self.if_not_exists = if_not_exists;
        self
    }
}
