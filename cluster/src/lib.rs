//! A Ballista cluster: its two kinds of processes, and a client that runs a physical plan on them.
//!
//! ```text
//!  client ── plan ──► scheduler ◄── what next? ── executor, executor, …
//!     ▲                                              │
//!     └────────── rows of the last stage ────────────┘
//! ```
//!
//! Ballista starts, schedules, repeats and moves. What the plans are made of it learns from the codec, the functions and
//! the settings that it is given; nothing here knows of images or models.

mod client;
mod connect;
mod error;
mod executor;
mod files;
mod jobs;
mod scheduler;
mod settings;

pub use client::{Client, Sent, finish_cancelling};
pub use connect::{Address, Security, executor_bind, scheduler_bind};
pub use datafusion_proto;
pub use error::Error;
pub use executor::{Executor, ExecutorAddress, OfTask, TaskPartitions};
pub use files::{OfferedFile, WantedFile, take};
pub use jobs::{
    JobOperator, JobProgress, JobStage, JobState, LIST, ListedExecutor, ListedJob, LoadModel, LoadedModel,
    ModelsOf, OwnModels, Watcher,
};
pub use scheduler::{Scheduler, SessionBuilder};
pub use settings::{ballista_codec, cluster_settings};
