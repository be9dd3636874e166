//! Images as tables: `STORED AS IMAGES`, `read_images(…)`; as files: `COPY … STORED AS IMAGES`; the decoder used by
//! inference, and functions of images.
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
//! A query reads only what its columns need: the listing provides `path`, `size`, `modified`, `etag` and partition
//! columns, and filters on them; `width`, `height` and `format` take a few KiB of each file; only `image` reads it all.
//! The bytes stay encoded up to the operator that runs a model, which calls [`decode()`].
//!
//! `files` writes images, a file for each row. Images in tar files are another table, in [`webdataset`]. Object stores
//! are in [`crate::stores`].

pub(crate) mod boxes;
pub mod decode;
pub(crate) mod files;
pub(crate) mod functions;
pub(crate) mod listing;
pub(crate) mod metadata;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod scan;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod thumbnail;
pub mod webdataset;

pub use decode::{ImageError, Limits, RgbImage, decode};
pub use functions::image_functions;
pub use listing::Location;
pub use scan::{IMAGE_TYPE, ImagesExec, TYPE_METADATA_KEY};
pub use table::{ImagesTable, ImagesTableFactory, ReadImages, UrlTables};
pub(crate) use thumbnail::Thumbnail;
