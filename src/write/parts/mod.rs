//! `COPY … OPTIONS ('resume' 'path')`: writes a folder in parts, each of which counts once it is in the log.
//!
//! ```text
//!  COPY ─ AtomicWrites ─ option.rs: key, limits; plan.rs: one row for each image? models.rs: digests ─► Resumable
//!                                                                                                          │ writer.rs
//!  ImagesExec, without what is finished ◄─ Skip ─┐                                                         ▼
//!    … operators …                               └─ folder.rs: lock, log, rest of killed processes ◄─ PartsSink
//!      │ └─► rows ─► part.rs: up to 32 MiB or 30 s ─► DataFusion's sink, into a StagedStore ─► folder.rs: commit
//!      └─► failures ─► failed.rs, until their row is in a part ──────────────────────────────────┘
//! ```
//!
//! The protocol of the log is in `resume/`. On a cluster, tasks write the parts: `task.rs`.

mod failed;
mod folder;
mod models;
mod option;
mod part;
mod plan;
mod sink;
#[cfg(feature = "cluster")]
mod task;
#[cfg(feature = "cluster")]
mod task_folder;
#[cfg(feature = "cluster")]
mod task_logs;
#[cfg(feature = "cluster")]
mod task_parts;
#[cfg(feature = "cluster")]
mod task_rows;
mod writer;

pub(crate) use option::{QUERY, RESUMABLE};
pub(in crate::write) use option::{Resumable, resumable};
#[cfg(feature = "cluster")]
pub(crate) use task::WritePartsExec;
#[cfg(feature = "cluster")]
pub(crate) use task_logs::TaskLogs;
#[cfg(feature = "cluster")]
pub(crate) use task_parts::{TaskParts, finished_keys};
pub(in crate::write) use writer::writer;
