//! Rows that fail: where and why, how many a query may have, and who is told of each.
//!
//! ```text
//!  listing, reading, image functions ─┐                       ┌─ count, against max_errors and max_error_ratio
//!  workers of inference ──────────────┴─ FailedRow ─► QueryFailures
//!                                                             ├─ Listener ─┬─ bounded channel ─► the errors file of COPY
//!                                                             │            └─ the parts of a COPY that continues
//!                                                             └─ Listener: the record of a query that is looked at
//! ```
//!
//! Whoever finds a failure first reports it. A NULL that carries its reason has been reported, so that a file that can't
//! be read counts once, whatever is inferred from it.

mod failure;
mod listener;
mod query_failures;
mod row_names;

pub(crate) use failure::{FailedRow, Failure, Stage};
pub(crate) use listener::{Listener, SkippedRow};
#[cfg(feature = "cluster")]
pub(crate) use query_failures::FailedCount;
pub(crate) use query_failures::QueryFailures;
#[cfg(feature = "cluster")]
pub(crate) use row_names::without_row_names;
pub(crate) use row_names::{RowNames, as_function, evaluate_with, with_row_names};
