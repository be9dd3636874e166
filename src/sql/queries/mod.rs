//! Queries within statements, and the statements about a query: `SUMMARIZE`, `ADVISE`, `CREATE TABLE … AS`.

mod advise;
mod create_table;
pub(super) mod query;
mod summarize;

pub(super) use advise::advise;
pub(super) use create_table::run_query;
pub(super) use summarize::summarize;
