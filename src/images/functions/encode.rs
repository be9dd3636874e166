//! Encodes pixels to the bytes of an image file.

use std::io::Cursor;

use image::{ExtendedColorType, ImageFormat};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use crate::images::decode::{Format, RgbImage};

/// Default quality of JPEGs, 1 to 100: high enough for classification or recompression.
pub(crate) const DEFAULT_QUALITY: u32 = 90;

/// How to encode an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) format: Format,
    /// JPEG quality, 1 to 100; other formats are lossless, GIF with 256 colours.
    pub(crate) quality: u32,
}

impl Encoding {
    /// JPEG if `bytes` is a JPEG, otherwise PNG.
    pub(crate) fn like(bytes: &[u8]) -> Self {
        let format = match Format::of(bytes) {
            Some(Format::Jpeg) => Format::Jpeg,
            _ => Format::Png,
        };
        Self { format, quality: DEFAULT_QUALITY }
    }
}

/// Encodes `image`; JPEGs with chroma at half the resolution, like cameras and Pillow.
///
/// # Errors
/// The encoder's error, such as an image too large for the format.
pub(crate) fn encode(image: &RgbImage, encoding: Encoding) -> Result<Vec<u8>, String> {
    let format = match encoding.format {
        Format::Jpeg => return encode_jpeg(image, encoding.quality).map_err(|error| error.to_string()),
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        Format::Tiff => ImageFormat::Tiff,
    };
    let mut bytes = Cursor::new(Vec::new());
    let RgbImage { width, height, pixels, .. } = image;
    image::write_buffer_with_format(&mut bytes, pixels, *width, *height, ExtendedColorType::Rgb8, format)
        .map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

fn encode_jpeg(image: &RgbImage, quality: u32) -> turbojpeg::Result<Vec<u8>> {
    let mut compressor = Compressor::new()?;
    compressor.set_quality(quality.clamp(1, 100) as i32)?;
    compressor.set_subsamp(Subsamp::Sub2x2)?;
    let (width, height) = (image.width as usize, image.height as usize);
    let format = PixelFormat::RGB;
    let pitch = width * format.size();
    compressor.compress_to_vec(Image { pixels: image.pixels.as_slice(), width, pitch, height, format })
}
