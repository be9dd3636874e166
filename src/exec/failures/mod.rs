//! Rows that fail: those of a morsel, and the images that the operators above need not report again.

mod batch;
mod undecoded;

pub(crate) use batch::{BatchFailures, ImageFailures, Predictions, or_a_row};
pub(crate) use undecoded::Undecoded;
