//! Columns as people write and read them: fields of structs in a statement, and short names above its results.
//!
//! ```text
//!  statement ─ fields.rs, wildcards.rs ─► plan ─ headers.rs ─► plan with short column names
//! ```
//!
//! `visit.rs` finds the queries and relations that they rewrite, `walk.rs` visits them.

mod fields;
mod headers;
mod visit;
mod walk;
mod wildcards;

pub(super) use fields::plan;
pub(super) use headers::Headers;
pub(super) use visit::visit_mut;
