//! SQL: statements about models, `SUMMARIZE` and `ADVISE`, in addition to all of DataFusion's statements.
//!
//! ```text
//!  text ─ Script ─► tokens of one statement ─ parser ─► Statement ─ execute ─► DataFrame
//!                                               │                      │
//!                                   DFParser ◄──┘ all but ours         ├─► ModelRegistry, SessionContext
//!                                                                      └─► query, columns: fields of structs, headers
//! ```

mod advise_rows;
mod cluster;
mod columns;
mod create_quantized;
mod execute;
mod explain;
mod explain_format;
mod formats;
mod locations;
mod model_statements;
mod options;
mod parser;
mod queries;
mod resumable;
mod script;
mod statement;
mod tune_model;

pub use cluster::ClusterStatement;
pub use execute::plan;
pub(crate) use explain::Explanation;
#[cfg(feature = "shell")]
pub(crate) use queries::contained;
pub use script::{Script, parse_statement};
pub use statement::Statement;
