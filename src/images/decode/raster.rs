//! Every other format by the `image` crate, at full size.

use std::io::{BufRead, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageResult};

use super::error::ImageError;
use super::format::Format;
use super::rgb_image::{Limits, RgbImage, upright, upright_size};

/// What a decoder may allocate beside the pixels: palettes, metadata, a decompressor's windows.
const SIDE_ALLOCATIONS: u64 = 64 << 20;

/// Decodes `bytes`, whose signature is that of `format`.
pub(crate) fn decode(bytes: &[u8], format: Format, allowed: &Limits<'_>) -> Result<RgbImage, ImageError> {
    contain_panic(|| decode_unguarded(bytes, format, allowed))
        .unwrap_or_else(|| Err(ImageError::damaged(format, &"its decoder gave up on it")))
}

/// Runs `parse`; `None` if it panicked, as a parser may on bytes that its author did not think of.
///
/// What `parse` worked on must not be used afterwards, other than to start over.
pub(crate) fn contain_panic<T>(parse: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(parse)).ok()
}

fn decode_unguarded(bytes: &[u8], format: Format, allowed: &Limits<'_>) -> Result<RgbImage, ImageError> {
    let damaged = |error: image::ImageError| ImageError::damaged(format, &error);
    let mut decoder = open_decoder(Cursor::new(bytes), format).map_err(damaged)?;
    let stored_size = decoder.dimensions();
    allowed.check_size(stored_size, format)?;
    // As decoded, and as RGB.
    allowed.check_memory(decoder.total_bytes().saturating_mul(2))?;
    decoder.set_limits(limits(decoder.total_bytes().saturating_mul(2))).map_err(damaged)?;

    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let stored = DynamicImage::from_decoder(decoder).map_err(damaged)?.into_rgb8();
    Ok(upright(stored, orientation, upright_size(stored_size, orientation)))
}

/// A decoder that has read the header of `reader`, and no pixels yet.
pub(crate) fn open_decoder<'a, R: BufRead + Seek + 'a>(
    reader: R,
    format: Format,
) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(match format {
        Format::Jpeg => Box::new(JpegDecoder::new(reader)?),
        Format::Png => Box::new(PngDecoder::with_limits(reader, limits(0))?),
        Format::WebP => Box::new(WebPDecoder::new(reader)?),
        Format::Gif => Box::new(GifDecoder::new(reader)?),
        Format::Bmp => Box::new(BmpDecoder::new(reader)?),
        Format::Tiff => Box::new(TiffDecoder::new(reader)?),
    })
}

/// Limits that leave `pixel_bytes` for the pixels.
fn limits(pixel_bytes: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixel_bytes.saturating_add(SIDE_ALLOCATIONS));
    limits
}
