//! The queries of an engine: those that run and the last that ended, for whoever wants to look.
//!
//! ```text
//!  Query, shell ─ begin ─► RunningQuery ─ observe(plan), add_batch ─► Entry ─ end ─► QueryDetails, the last 100
//!                                                                       │                 │
//!  Engine::queries() ─► Queries ─ all(), get(id): read when asked ──────┴─────────────────┘
//!                          └─ cancel(id) ─► the query
//! ```
//!
//! Operators keep the numbers anyway, so that a query that nobody looks at costs an entry when it begins and a summary
//! when it ends.

mod bottleneck;
mod plan;
mod registry;
mod results;
mod running;
mod snapshot;

pub use crate::exec::{Found, SampledRow};
pub use crate::report::Sample;
pub use plan::PlanNode;
pub use registry::Queries;
pub use results::ResultSample;
pub use snapshot::{
    ErrorExample, LatestError, QueryDetails, QueryState, QuerySummary, SlowImage, StageProgress,
};

pub(crate) use registry::QueryText;
pub(crate) use running::{Outcome, RunningQuery};
