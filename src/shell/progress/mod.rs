//! Progress of a running query, from the metrics of its operators.

mod display;
mod summary;
mod terminal;

pub use display::Progress;

pub(crate) use crate::progress::{inference, listed_failures, skipped_files, unlisted_entries};
pub(crate) use display::{REDRAW, When};
pub(crate) use summary::Summary;
