//! Progress of a running query, from the metrics of its operators.

mod display;
mod summary;
mod terminal;

pub use display::Progress;

pub(crate) use crate::progress::{inference, skipped_files};
pub(crate) use display::{REDRAW, When};
pub(crate) use summary::Summary;
