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

mod address;
mod client;
mod connection;
mod disk;
mod error;
mod executor;
mod fetch;
mod files;
mod job;
mod jobs;
mod kept;
mod patience;
mod pool;
mod progress;
mod registration;
mod results;
mod scheduler;
mod security;
mod settings;
mod tasks;

pub use address::{Address, executor_bind, scheduler_bind};
pub use client::{Client, Sent};
pub use datafusion_proto;
pub use error::Error;
pub use executor::{Executor, ExecutorAddress};
pub use files::{OfferedFile, WantedFile, take};
pub use job::finish_cancelling;
pub use jobs::{JobState, ListedExecutor, ListedJob, LoadModel, LoadedModel, ModelsOf, OwnModels};
pub use progress::{JobOperator, JobProgress, JobStage, Watcher};
pub use scheduler::{Scheduler, SessionBuilder};
pub use security::Security;
pub use settings::{ballista_codec, cluster_settings};
pub use tasks::TaskPartitions;
