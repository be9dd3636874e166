//! Queries within statements, and the statements about a query: `SUMMARIZE`, `ADVISE`, `EXPLAIN … FORMAT JSON`,
//! `CREATE TABLE … AS`, `PREPARE`.

mod advise;
mod create_table;
mod damaged;
mod explain_json;
mod prepare;
pub(super) mod query;
mod summarize;

pub(super) use advise::advise;
pub(super) use create_table::run_query;
pub(crate) use damaged::contained;
pub(super) use damaged::{parquet_reason, with_damaged_file};
pub(super) use explain_json::explain_json;
pub(super) use prepare::replace_distinct_on;
pub(super) use summarize::summarize;
