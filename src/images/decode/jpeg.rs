//! JPEG decoding by libjpeg-turbo, at the smallest sufficient scale.
//!
//! Upsampling and the inverse DCT keep their accurate defaults, which Pillow uses too, so that full-scale pixels equal
//! the ones a model was trained on. Errors are handled as in Pillow: a file that ends before its last row is rejected;
//! one with corrupt entropy-coded data is decoded with the artefacts.

use std::io::Cursor;

use image::metadata::Orientation;
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor};

use super::error::ImageError;
use super::format::Format;
use super::jpeg_header::JpegHeader;
use super::raster;
use super::rgb_image::{Limits, RgbImage, upright, upright_size};

/// Maximum scans of a progressive file; real ones have about ten, hostile ones thousands, each a pass over all pixels.
const MAX_SCANS: u32 = 500;

/// Prefix of libjpeg-turbo's warnings about corrupt entropy-coded data that it recovered from.
const PATCHED_UP: &str = "Corrupt JPEG data";

/// The reduced scales that are used, smallest first, with their values.
const SCALES: [(ScalingFactor, f64); 3] =
    [(ScalingFactor::ONE_EIGHTH, 0.125), (ScalingFactor::ONE_QUARTER, 0.25), (ScalingFactor::ONE_HALF, 0.5)];

/// Decodes a JPEG; see [`super::decode`] for the arguments.
pub(crate) fn decode(
    bytes: &[u8],
    limits: &Limits<'_>,
    min_scale: impl FnOnce(u32, u32) -> f64,
) -> Result<RgbImage, ImageError> {
    let mut decompressor = new_decompressor().map_err(|error| damaged(&error))?;
    let header = match decompressor.read_header(bytes) {
        Ok(header) => header,
        // The binding rejects headers even for an odd version number; the other decoder is lenient.
        Err(error) => return raster::decode(bytes, Format::Jpeg, limits).map_err(|_| damaged(&error)),
    };
    let orientation = JpegHeader::read(&mut Cursor::new(bytes))
        .map_or(Orientation::NoTransforms, |header| header.orientation);
    let original = upright_size(full_size(&header)?, orientation);
    limits.check_size(original, Format::Jpeg)?;

    let scale = choose_scale(&header, min_scale(original.0, original.1));
    decompressor.set_scaling_factor(scale).map_err(|error| damaged(&error))?;
    let scaled = header.scaled(scale);
    // Turning an image upright takes a second buffer.
    let copies = if orientation == Orientation::NoTransforms { 1 } else { 2 };
    let pixels = (scaled.width * scaled.height * PixelFormat::CMYK.size() * copies) as u64;
    limits.check_memory(pixels + coefficient_bytes(bytes, &header))?;
    let stored = decompress(&mut decompressor, bytes, &scaled)?;
    Ok(upright(stored, orientation, original))
}

/// One for each image: a decompressor keeps tables and messages, so that a damaged image would be decoded with the tables
/// of the one before, or fail for its reason.
fn new_decompressor() -> turbojpeg::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(MAX_SCANS)?;
    Ok(decompressor)
}

/// Bytes that the decoder takes for the coefficients of the full-size image, whatever the scale: none if it decodes row by
/// row, in a single scan.
fn coefficient_bytes(bytes: &[u8], header: &DecompressHeader) -> u64 {
    let is_kept = header.is_progressive
        || JpegHeader::has_partial_scan(&mut Cursor::new(bytes)).is_ok_and(|is_partial| is_partial);
    if !is_kept {
        return 0;
    }
    let full = (header.width * header.height * size_of::<i16>()) as u64;
    match header.colorspace {
        Colorspace::Gray => full,
        Colorspace::CMYK | Colorspace::YCCK => 4 * full,
        Colorspace::RGB | Colorspace::YCbCr => {
            full + 2 * full / (header.subsamp.width() * header.subsamp.height()).max(1) as u64
        }
    }
}

fn full_size(header: &DecompressHeader) -> Result<(u32, u32), ImageError> {
    let side = |pixels: usize| u32::try_from(pixels).map_err(|error| damaged(&error));
    Ok((side(header.width)?, side(header.height)?))
}

fn choose_scale(header: &DecompressHeader, min_scale: f64) -> ScalingFactor {
    if header.is_lossless { ScalingFactor::ONE } else { smallest_scale(min_scale).0 }
}

/// The scale at which a JPEG is decoded for a caller that needs at least `min_scale`: 1, 1/2, 1/4 or 1/8.
pub(crate) fn decoder_scale(min_scale: f64) -> f64 {
    smallest_scale(min_scale).1
}

fn smallest_scale(min_scale: f64) -> (ScalingFactor, f64) {
    SCALES.into_iter().find(|(_, value)| *value >= min_scale).unwrap_or((ScalingFactor::ONE, 1.0))
}

/// Decompresses to RGB; `scaled` is the header at the scale that is set.
fn decompress(
    decompressor: &mut Decompressor,
    bytes: &[u8],
    scaled: &DecompressHeader,
) -> Result<image::RgbImage, ImageError> {
    let is_cmyk = matches!(scaled.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let format = if is_cmyk { PixelFormat::CMYK } else { PixelFormat::RGB };
    let pitch = scaled.width * format.size();
    let mut output = Image {
        pixels: vec![0; pitch * scaled.height],
        width: scaled.width,
        pitch,
        height: scaled.height,
        format,
    };
    match decompressor.decompress(bytes, output.as_deref_mut()) {
        Ok(()) => {}
        Err(turbojpeg::Error::TurboJpegError(report)) if report.contains(PATCHED_UP) => {
            tracing::debug!(report, "a damaged JPEG was decoded; some of its pixels may be wrong");
        }
        Err(error) => return Err(damaged(&error)),
    }
    let pixels = if is_cmyk { seequel_pixels::inverted_cmyk_to_rgb(&output.pixels) } else { output.pixels };
    let (width, height) = full_size(scaled)?;
    image::RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| damaged(&"its size contradicts the number of its pixels"))
}

fn damaged(reason: &impl ToString) -> ImageError {
    ImageError::damaged(Format::Jpeg, reason)
}
