//! The `TUNE MODEL` statement, from SQL or from an application.

use std::collections::BTreeMap;

use datafusion::sql::parser::Statement;

/// `TUNE MODEL name USING (query) [OPTIONS (key value, …)]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuneModel {
    /// Name of the model.
    pub name: String,
    /// The query whose rows the model runs on.
    pub query: Box<Statement>,
    /// OPTIONS, as text.
    pub options: BTreeMap<String, String>,
}
