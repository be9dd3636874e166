//! Progress of a running query, from the metrics of its operators.

mod display;
mod stages;
mod summary;
mod terminal;

pub use display::Progress;

pub(crate) use display::{REDRAW, When};
pub(crate) use stages::{inference, skipped_files};
pub(crate) use summary::Summary;
