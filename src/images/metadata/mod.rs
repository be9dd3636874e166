//! Metadata of image files, from their headers: size, colours, frames, orientation, camera and capture time.

mod exif_data;
#[expect(clippy::module_inception, reason = "the struct's file")]
mod metadata;

pub(crate) use metadata::Metadata;
