//! Reads images as rows: list, filter, limit, read, in bounded memory.
//!
//! ```text
//!  listing ─ ahead ─► filter ─► limit ─► reader (nothing, headers or files; bounded by budget) ─► columns ─► batches
//! ```

mod ahead;
mod budget;
pub(crate) mod columns;
#[cfg(feature = "cluster")]
mod dealing;
mod exec;
#[cfg(feature = "cluster")]
mod fetch;
mod file_size;
#[cfg(feature = "cluster")]
mod list;
#[cfg(feature = "cluster")]
pub(crate) mod listed;
mod pipeline;
mod reader;

pub(crate) use columns::is_image;
pub use columns::{IMAGE_TYPE, TYPE_METADATA_KEY};
pub use exec::ImagesExec;
#[cfg(feature = "cluster")]
pub(crate) use fetch::FetchImagesExec;
#[cfg(feature = "cluster")]
pub(crate) use list::ListImagesExec;

#[cfg(feature = "cluster")]
pub(crate) use dealing::Dealing;
pub(crate) use file_size::LargestFile;
pub(crate) use pipeline::Scan;
