//! Writing results: COPY and INSERT replace and add whole files, or leave everything as it was.
//!
//! ```text
//!  COPY … TO 'out/' ─ AtomicWrites (analyzer) ─► format of the files, wrapped ─┐ physical planning
//!  INSERT INTO t ──── rule.rs ─────────────────► table of the files, wrapped ──┤
//!                                                                              ▼
//!                                              DataSinkExec: AtomicSink around DataFusion's sink
//!                                                1 check the target             files/: target.rs, local.rs, remote.rs
//!                                                2 write into a StagedStore     store.rs
//!                                                3 move the files in            commit.rs; local.rs, remote.rs
//! ```
//!
//! DataFusion's sinks write to the target as rows arrive, and complete their files when a row fails as well. Here they
//! write to a store that keeps files apart until the sink has ended: in a hidden folder beside their place on a local
//! disk, as unfinished uploads elsewhere. A dropped or failed statement removes them,
//! unless it has begun to move them in, which then goes on to its end.
//!
//! Planning only reads: EXPLAIN COPY touches nothing.

mod commit;
mod failed;
mod files;
mod format;
mod insert;
mod parts;
mod rule;
mod sink;

pub use commit::await_commits;

pub(crate) use failed::ERRORS;
#[cfg(feature = "cluster")]
pub(crate) use failed::{Namer, position_of, with_named_rows};
pub(crate) use files::{MODE, nested_as_json};
#[cfg(feature = "cluster")]
pub(crate) use format::continues;
pub(crate) use parts::{QUERY, RESUMABLE};
#[cfg(feature = "cluster")]
pub(crate) use parts::{TaskLogs, TaskParts, WritePartsExec, finished_keys};
pub use rule::AtomicWrites;
