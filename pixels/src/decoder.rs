//! The decoders of the `image` crate.

use std::io::{BufRead, Cursor, Seek};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::error::{ImageFormatHint, UnsupportedError};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits, RgbImage};

use crate::webp::WebPDecoder;

/// What a decoder may allocate beside the pixels, in bytes: palettes, metadata, a decompressor's windows.
const SIDE_ALLOCATIONS: u64 = 64 << 20;

/// A decoder that has read the header of `bytes`, and no pixels yet.
///
/// # Errors
/// A header that is damaged, or a format other than JPEG, PNG, WebP, GIF, BMP and TIFF.
pub fn open_bytes(bytes: &[u8], format: ImageFormat) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    open_decoder(Cursor::new(bytes), format)
}

/// As [`open_bytes`], of any reader; not for pixels, since the decoder is compiled with the caller.
///
/// # Errors
/// As of [`open_bytes`].
pub fn open_decoder<'a, R: BufRead + Seek + 'a>(
    reader: R,
    format: ImageFormat,
) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(match format {
        ImageFormat::Jpeg => Box::new(JpegDecoder::new(reader)?),
        ImageFormat::Png => Box::new(PngDecoder::with_limits(reader, limits(0))?),
        ImageFormat::WebP => Box::new(WebPDecoder::new(reader)?),
        ImageFormat::Gif => Box::new(GifDecoder::new(reader)?),
        ImageFormat::Bmp => Box::new(BmpDecoder::new(reader)?),
        ImageFormat::Tiff => Box::new(TiffDecoder::new(reader)?),
        other => {
            let unsupported: UnsupportedError = ImageFormatHint::Exact(other).into();
            return Err(ImageError::Unsupported(unsupported));
        }
    })
}

/// Decodes the pixels, as RGB.
///
/// # Errors
/// Pixels that are damaged, or need more memory than the decoder's limits allow.
pub fn read_rgb8(decoder: Box<dyn ImageDecoder + '_>) -> ImageResult<RgbImage> {
    DynamicImage::from_decoder(decoder).map(DynamicImage::into_rgb8)
}

/// Limits of a decoder that allow `pixel_bytes` for the pixels.
#[must_use]
pub fn limits(pixel_bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixel_bytes.saturating_add(SIDE_ALLOCATIONS));
    limits
}
