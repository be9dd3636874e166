//! SQL: statements about models and `SUMMARIZE`, in addition to all of DataFusion's statements.
//!
//! ```text
//!  text ─ Script ─► tokens of one statement ─ parser ─► Statement ─ execute ─► DataFrame
//!                                               │                      │
//!                                   DFParser ◄──┘ all but ours         ├─► ModelRegistry, SessionContext
//!                                                                      └─► query, columns: fields of structs, headers
//! ```

mod columns;
mod create_quantized;
mod create_table;
mod execute;
mod explain;
mod formats;
mod locations;
mod model_statements;
mod options;
mod parser;
mod query;
mod script;
mod statement;
mod summarize;
mod tune_model;

pub use execute::plan;
pub(crate) use explain::Explanation;
pub use script::{Script, parse_statement};
pub use statement::Statement;
