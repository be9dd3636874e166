//! What is known of a query: its run, the load of its resources, trials of changes; and findings as a table.

mod case;
mod facts;
mod finding;
mod load;
mod measured;
mod trials;

pub(super) use case::Case;
pub(crate) use facts::facts;
pub(super) use facts::shares;
pub(super) use finding::{Finding, LEAST_GAIN, counted, megabytes, percent, table};
pub(super) use load::{Demand, Load, STARVING};
pub(super) use measured::Measured;
pub(super) use trials::{Change, Trials};
