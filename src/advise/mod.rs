//! `ADVISE query`: runs a query and says what limits it, what to change, and what that gains.
//!
//! ```text
//!  query ─► Measured: its accounts ─► Load: which resource is used up ─┐
//!                │                                                     ├─► causes ─► findings, by gain
//!                └─► Trials: the model on real rows, sized otherwise ──┘
//! ```
//!
//! Each finding is one change, with the gain that a model of the bottleneck expects of it (`evidence/load.rs`), from times that
//! were measured: in the run itself, or in trials of the change where these are cheap. Nothing is advised without.

mod causes;
mod evidence;
mod run;
mod statement;

pub use statement::Advise;

pub(crate) use evidence::facts;
pub(crate) use run::advise;
pub(crate) use statement::ROWS;
