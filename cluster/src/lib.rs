//! A Ballista cluster: its two kinds of processes, and a client that runs a physical plan on them.
//!
//! ```text
//!  client ── plan ──► scheduler ── tasks ──► executor, executor, …
//!     ▲                                         │
//!     └────────── rows of the last stage ───────┘
//! ```
//!
//! Ballista starts, schedules, repeats and moves. What the plans are made of it learns from the codec, the functions and
//! the settings that it is given; nothing here knows of images or models.

mod address;
mod client;
mod error;
mod executor;
mod job;
mod scheduler;
mod settings;

pub use address::Address;
pub use client::Client;
pub use datafusion_proto;
pub use error::Error;
pub use executor::{Executor, ExecutorAddress};
pub use job::finish_cancelling;
pub use scheduler::{Scheduler, SessionBuilder};
pub use settings::{ballista_codec, cluster_settings};
