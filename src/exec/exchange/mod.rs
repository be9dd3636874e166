//! The exchange: cuts batches into morsels and hands them to whichever worker is free.

mod exec;
mod morsel;
mod queue;

pub use exec::InferExchangeExec;
pub use morsel::MorselRows;

pub(crate) use morsel::{Growing, Morsel, morsels};
