//! From encoded bytes to RGB pixels: pure, synchronous, meant for blocking threads.
//!
//! ```text
//!            ┌─ JPEG ──► jpeg.rs: libjpeg-turbo at 1/1, 1/2, 1/4 or 1/8 ─┐
//! bytes ─ signature                                                      ├─► turn upright ─► RgbImage
//!            └─ other ─► raster.rs: the image crate at full size ────────┘
//! ```
//!
//! Bytes are hostile until shown otherwise: the size in the header is checked before pixels are allocated, and a
//! decoder that fails, or panics, fails its own image only.

mod error;
mod jpeg;
mod jpeg_header;
mod raster;

use image::DynamicImage;
use image::metadata::Orientation;

pub use error::ImageError;
pub(crate) use jpeg_header::{JpegFrame, JpegHeader};
pub(crate) use raster::{contain_panic, open_decoder};

use super::format::Format;

/// A decoded image: interleaved RGB, 8 bits a channel, rows from top to bottom without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width of `pixels`; less than the original's where a JPEG was decoded at a smaller scale.
    pub width: u32,
    /// Height of `pixels`.
    pub height: u32,
    /// `width × height × 3` bytes.
    pub pixels: Vec<u8>,
    /// Width of the full-size image as displayed, with the EXIF orientation applied.
    pub original_width: u32,
    /// Height of the full-size image as displayed.
    pub original_height: u32,
}

impl std::fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { width, height, pixels: _, original_width, original_height } = self;
        write!(f, "RgbImage({width} × {height} of {original_width} × {original_height})")
    }
}

/// Decodes `bytes` to upright RGB; alpha is dropped, of an animation the first frame is taken.
///
/// `limits` bounds what is allocated, by the header. `min_scale` is given the full size as displayed and
/// answers with the smallest linear scale, in (0, 1], that the caller can use: a JPEG is decoded at the smallest of
/// 1/1, 1/2, 1/4 and 1/8 that is no smaller, which skips most of the work. Other formats come at full size.
///
/// # Errors
/// [`ImageError`] if the bytes are no image, a damaged one, or one that exceeds `limits`.
pub fn decode(
    bytes: &[u8],
    limits: &Limits<'_>,
    min_scale: impl FnOnce(u32, u32) -> f64,
) -> Result<RgbImage, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    match Format::of(bytes).ok_or(ImageError::NotAnImage)? {
        Format::Jpeg => jpeg::decode(bytes, limits, min_scale),
        format => raster::decode(bytes, format, limits),
    }
}

/// What a decoder may allocate for pixels.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Most pixels, width × height, of the full-size image.
    pub max_pixels: u64,
    /// Asked before so many bytes are allocated; `false` refuses the image.
    pub admit: &'a dyn Fn(u64) -> bool,
}

impl std::fmt::Debug for Limits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("max_pixels", &self.max_pixels).finish_non_exhaustive()
    }
}

impl Limits<'_> {
    /// At most `max_pixels`, whatever memory they take.
    #[must_use]
    pub fn pixels(max_pixels: u64) -> Self {
        Self { max_pixels, admit: &|_| true }
    }

    /// Refuses sizes of no pixels, or of too many, before anything is allocated for them.
    fn check_size(&self, (width, height): (u32, u32), format: Format) -> Result<(), ImageError> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(ImageError::damaged(format, &"it has no pixels"));
        }
        if pixels > self.max_pixels {
            return Err(ImageError::TooLarge { width, height, max_pixels: self.max_pixels });
        }
        Ok(())
    }

    fn check_memory(&self, bytes: u64) -> Result<(), ImageError> {
        if (self.admit)(bytes) {
            Ok(())
        } else {
            Err(ImageError::NoMemory { megabytes: bytes.div_ceil(1 << 20) })
        }
    }
}

/// Size as displayed of an image stored as `(width, height)`: quarter turns swap the sides.
pub(crate) fn upright_size((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    }
}

/// Turns `stored` upright; `original` is the full size as displayed.
fn upright(stored: image::RgbImage, orientation: Orientation, original: (u32, u32)) -> RgbImage {
    let mut image = DynamicImage::ImageRgb8(stored);
    image.apply_orientation(orientation);
    RgbImage {
        width: image.width(),
        height: image.height(),
        pixels: image.into_rgb8().into_raw(),
        original_width: original.0,
        original_height: original.1,
    }
}

#[cfg(test)]
mod tests;
