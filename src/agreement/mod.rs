//! Compares two models by their predictions on the same images.
//!
//! ```text
//!  Samples ─ Runner ─┬─ original ─► predictions ─┐
//!                    └─ other ────► predictions ─┴─► Agreement
//! ```

mod prediction;
mod samples;

pub(crate) use prediction::{Agreement, Prediction, median, outputs, predictions};
pub(crate) use samples::{ImageInput, Runner, Samples};
