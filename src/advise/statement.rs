//! The `ADVISE` statement, from SQL or from an application.

use datafusion::sql::parser::Statement;

/// The key of OPTIONS.
pub(crate) const ROWS: &str = "rows";

/// `ADVISE query [OPTIONS (rows 'number')]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advise {
    /// A query, or a `COPY` of one.
    pub query: Box<Statement>,
    /// The query ends once models ran on so many rows or, without models, gave so many.
    pub rows: Option<u64>,
}
