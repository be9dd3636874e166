//! The jobs of a scheduler, those that run and those that have ended, and its executors: a service of ours beside Ballista's,
//! which tells the state of one job, and the stages of jobs that have ended alone.
//!
//! ```text
//!  client ── stages, list, results, ended, executors ──► scheduler ◄── report: tasks, models ── executor
//!                                                            └─────── needed: models ───────►
//! ```

mod executors;
mod listed;
pub(crate) mod messages;
mod needed;
mod progress;
mod serve;
mod warm;

pub(crate) use executors::report;
pub use executors::{ListedExecutor, LoadedModel, OwnModels};
pub use listed::{JobState, ListedJob};
pub use needed::ModelsOf;
pub(crate) use needed::watch_needs;
pub use progress::{JobOperator, JobProgress, JobStage, LIST, Watcher};
pub(crate) use serve::jobs;
pub(crate) use service::jobs_client::JobsClient;
pub use warm::LoadModel;
pub(crate) use warm::warm;

/// The generated client and server.
mod service {
    #![expect(
        clippy::allow_attributes,
        clippy::clone_on_ref_ptr,
        unreachable_pub,
        unused_qualifications,
        reason = "generated"
    )]

    include!(concat!(env!("OUT_DIR"), "/seequel.Jobs.rs"));
}
