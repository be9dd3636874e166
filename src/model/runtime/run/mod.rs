//! What belongs to the runs of a model, whoever runs it: how they are ended, how long they take, and why they fail.

mod cancellation;
mod error;
mod time_limit;
mod times;

pub(crate) use cancellation::{CancelOnDrop, Cancellation, WeakCancellation};
pub(crate) use error::RunError;
pub(super) use time_limit::LimitedRun;
pub(crate) use times::{RunHistogram, RunTimes};
