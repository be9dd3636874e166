//! Reads images as rows: list, filter, limit, read, in bounded memory.
//!
//! ```text
//!  listing ─ ahead ─► filter ─► limit ─► reader (nothing, headers or files; bounded by budget) ─► columns ─► batches
//! ```

mod ahead;
mod budget;
pub(crate) mod columns;
mod exec;
mod pipeline;
mod reader;

pub(crate) use columns::is_image;
pub use columns::{IMAGE_TYPE, TYPE_METADATA_KEY};
pub use exec::ImagesExec;

pub(crate) use pipeline::Scan;
pub(crate) use reader::MAX_FILE_BYTES;
