//! Images as tables: `STORED AS IMAGES`, `read_images(…)`; the decoder behind inference, and functions of images.
//!
//! ```text
//! 'photos/**/*.jpg'
//!        │ location.rs, braces.rs
//!        ▼
//!   ImagesTable ─ scan ─► ImagesExec ─ execute ─► list ─► filter ─► limit ─► read ─► batches
//!   table.rs              scan.rs                 listing.rs   pipeline.rs    │ reader.rs
//!   factory.rs, function.rs,                                ahead.rs          ├ nothing: path, size, …
//!   url_table.rs                                                              ├ header.rs: width, height, format
//!                                                                             └ whole files: image
//! ```
//!
//! A query reads no more than it names: the listing answers `path`, `size`, `modified`, `etag` and partition columns,
//! and filters on them; `width`, `height` and `format` take a few KiB of each file; only `image` reads it all. The
//! bytes stay encoded from here to the operator that runs a model, which calls [`decode()`].
//!
//! Images in tar files are another table, in [`webdataset`]. Which stores there are is for [`crate::stores`] to say.

pub mod decode;

mod ahead;
mod braces;
mod budget;
mod columns;
mod factory;
mod format;
mod function;
mod functions;
mod header;
mod listing;
mod location;
mod partitions;
mod pipeline;
mod reader;
#[cfg(test)]
mod samples;
mod scan;
mod table;
#[cfg(test)]
mod tests;
mod url_table;
pub mod webdataset;

pub use columns::{IMAGE_TYPE, TYPE_METADATA_KEY};
pub use decode::{ImageError, Limits, RgbImage, decode};
pub use factory::ImagesTableFactory;
pub use function::ReadImages;
pub use functions::image_functions;
pub(crate) use header::Header;
pub use location::Location;
pub use scan::ImagesExec;
pub use table::ImagesTable;
pub use url_table::UrlTables;
