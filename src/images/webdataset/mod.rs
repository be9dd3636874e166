//! `STORED AS WEBDATASET`: tar files (shards) of images with labels and metadata.
//!
//! ```text
//! shard-000.tar              one row per key, from consecutive members
//! ├ 0001.jpg  ─┐
//! ├ 0001.json  ├─►  path = shard-000.tar/0001, name = 0001, image, json, txt, cls
//! ├ 0001.cls  ─┘
//! ├ 0002.jpg  ─┐
//! …
//!
//! table.rs ─ scan ─► WebDatasetExec ─ a partition's shards, one by one ─►
//! factory.rs         exec.rs
//!     object_reader.rs ─► samples.rs ─► columns.rs ─► batches
//!     ranges of bytes     members       arrays
//! ```
//!
//! A shard is read sequentially, a few MiB at a time, and never extracted: member names are used only as keys. Each
//! partition reads on its own thread.

mod columns;
mod exec;
mod factory;
#[cfg(feature = "cluster")]
mod fetch;
mod object_reader;
mod samples;
mod table;

#[cfg(feature = "cluster")]
pub(crate) use columns::table_schema;
#[cfg(feature = "cluster")]
pub(crate) use exec::ShardScan;
pub use exec::WebDatasetExec;
pub use factory::WebDatasetFactory;
#[cfg(feature = "cluster")]
pub(crate) use fetch::FetchShardsExec;
pub use table::WebDatasetTable;

#[cfg(fuzzing)]
pub(crate) use columns::{table_schema, to_batch};
#[cfg(fuzzing)]
pub(crate) use samples::read_samples;
