//! `STORED AS WEBDATASET`: shards of images and what belongs to them, in tar files.
//!
//! ```text
//! shard-000.tar              one row a key, of members that follow each other
//! ├ 0001.jpg  ─┐
//! ├ 0001.json  ├─►  path = shard-000.tar/0001, image, json, txt, cls
//! ├ 0001.cls  ─┘
//! ├ 0002.jpg  ─┐
//! …
//!
//! table.rs ─ scan ─► WebDatasetExec ─ a partition's shards, one after the other ─►
//! factory.rs         exec.rs
//!     object_reader.rs ─► samples.rs ─► columns.rs ─► batches
//!     ranges of bytes     members       arrays
//! ```
//!
//! A shard is read from its beginning to its end, a few MiB at a time, and never written anywhere: the names in it are
//! only names. Each partition reads on a thread of its own.

mod columns;
mod exec;
mod factory;
mod object_reader;
mod samples;
mod table;

pub use exec::WebDatasetExec;
pub use factory::WebDatasetFactory;
pub use table::WebDatasetTable;
