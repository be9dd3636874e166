//! Reports: one HTML file each, which opens without a network, in light and dark.
//!
//! ```text
//!  tuning.rs: Tuning ────────────────────────────────────┐
//!  run.rs: a query ─ samples.rs, operators.rs ─► query.rs ┴─► chart.rs: SVG ────┐
//!                                                         └─► table.rs, thumbnail.rs ─┴─► page.rs: style, policy
//!                                                                                            │
//!                                                              part_file.rs: the file, when complete ◄┘
//! ```
//!
//! Texts from outside are escaped by `html.rs`. Colours are variables of the page's style, so that a chart follows the
//! reader's theme. Each chart carries the numbers it is drawn from, for those who want them exactly.

mod chart;
mod html;
mod operators;
mod page;
mod part_file;
mod query;
mod run;
mod samples;
mod table;
mod thumbnail;
mod tuning;

pub(crate) use html::escaped;
pub(crate) use operators::{Operator, operators};
#[cfg(feature = "dashboard")]
pub(crate) use page::TOKENS;
pub(crate) use part_file::PartFile;
pub(crate) use run::{analyzed, planned, report};
pub use samples::Sample;
pub(crate) use samples::{Samples, rows as rows_of};
pub(crate) use tuning::{check_report, write_tuning_report};
