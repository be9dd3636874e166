//! The `CREATE MODEL … AS QUANTIZED` statement, from SQL or from an application.

use std::collections::BTreeMap;

use datafusion::sql::parser::Statement;

/// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name AS QUANTIZED source USING (query) [OPTIONS (key value, …)]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateQuantized {
    /// Name of the quantized model in SQL.
    pub name: String,
    /// Replace a model of that name.
    pub or_replace: bool,
    /// Keep an existing model of that name.
    pub if_not_exists: bool,
    /// Name of the model to quantize.
    pub source: String,
    /// The query whose first column of images the model is calibrated on.
    pub query: Box<Statement>,
    /// OPTIONS, as text.
    pub options: BTreeMap<String, String>,
}
