//! Decoding of all other formats by the `image` crate, at full size.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::ImageDecoder;
use image::metadata::Orientation;

use super::error::ImageError;
use super::format::Format;
use super::rgb_image::{Limits, RgbImage, upright, upright_size};

/// Decodes `bytes`, which have the signature of `format`.
pub(crate) fn decode(bytes: &[u8], format: Format, allowed: &Limits<'_>) -> Result<RgbImage, ImageError> {
    contain_panic(|| decode_unguarded(bytes, format, allowed))
        .unwrap_or_else(|| Err(ImageError::damaged(format, &"the decoder failed")))
}

/// Runs `parse`; `None` if it panicked, as a parser may on unexpected bytes.
///
/// After a panic, the state that `parse` modified may only be reset.
pub(crate) fn contain_panic<T>(parse: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(parse)).ok()
}

fn decode_unguarded(bytes: &[u8], format: Format, allowed: &Limits<'_>) -> Result<RgbImage, ImageError> {
    let damaged = |error: image::ImageError| ImageError::damaged(format, &error);
    let mut decoder = seequel_pixels::open_bytes(bytes, format.into()).map_err(damaged)?;
    let stored_size = decoder.dimensions();
    allowed.check_size(stored_size, format)?;
    // As decoded, and as RGB.
    allowed.check_memory(decoder.total_bytes().saturating_mul(2))?;
    decoder.set_limits(seequel_pixels::limits(decoder.total_bytes().saturating_mul(2))).map_err(damaged)?;

    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let stored = seequel_pixels::read_rgb8(decoder).map_err(damaged)?;
    Ok(upright(stored, orientation, upright_size(stored_size, orientation)))
}
