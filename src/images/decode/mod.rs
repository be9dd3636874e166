//! Decodes encoded bytes to RGB pixels: pure, synchronous, meant for blocking threads.
//!
//! ```text
//!            ┌─ JPEG ──► jpeg.rs: libjpeg-turbo at 1/1, 1/2, 1/4 or 1/8 ─┐
//! bytes ─ signature                                                      ├─► turn upright ─► RgbImage
//!            └─ other ─► raster.rs: the image crate at full size ────────┘
//! ```
//!
//! Bytes are untrusted: the size in the header is checked before pixels are allocated, and a decoder that fails or
//! panics fails only its own image.

mod error;
mod format;
mod header;
mod jpeg;
mod jpeg_header;
mod raster;
mod rgb_image;
pub(crate) mod unsupported;

pub use error::ImageError;
pub(crate) use format::Format;
pub(crate) use header::{Header, MAX_HEADER_BYTES};
pub(crate) use jpeg::decoder_scale;
pub(crate) use jpeg_header::{JpegFrame, JpegHeader};
pub(crate) use raster::contain_panic;
pub(crate) use rgb_image::upright_size;
pub use rgb_image::{Limits, RgbImage};

/// Decodes `bytes` to upright RGB; alpha is dropped, and an animation gives its first frame.
///
/// `limits` bounds allocations by the size in the header. `min_scale` is called with the full size as displayed and
/// returns the smallest linear scale, in (0, 1], that the caller can use: a JPEG is decoded at the smallest of
/// 1/1, 1/2, 1/4 and 1/8 that is no smaller, which skips most of the work. Other formats are decoded at full size.
///
/// # Errors
/// [`ImageError`] if the bytes are not an image, damaged, or exceed `limits`.
pub fn decode(
    bytes: &[u8],
    limits: &Limits<'_>,
    min_scale: impl FnOnce(u32, u32) -> f64,
) -> Result<RgbImage, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    match known_format(bytes)? {
        Format::Jpeg => jpeg::decode(bytes, limits, min_scale),
        Format::Tiff => match unsupported::camera_raw(bytes) {
            // The first image of such a file is a preview.
            Some(name) => Err(ImageError::Unsupported(name)),
            None => raster::decode(bytes, Format::Tiff, limits),
        },
        format => raster::decode(bytes, format, limits),
    }
}

/// The format of `bytes`.
///
/// # Errors
/// [`ImageError::Unsupported`] for a format that is known but not decoded, [`ImageError::NotAnImage`] for any other.
pub(crate) fn known_format(bytes: &[u8]) -> Result<Format, ImageError> {
    Format::of(bytes).ok_or_else(|| match unsupported::by_content(bytes) {
        Some(name) => ImageError::Unsupported(name),
        None => ImageError::NotAnImage,
    })
}

#[cfg(test)]
mod tests;
