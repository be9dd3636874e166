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
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // As decoded, as RGB, which takes more if it is grey, and turned upright.
    let copies = if orientation == Orientation::NoTransforms { 1 } else { 2 };
    let rgb = u64::from(stored_size.0).saturating_mul(stored_size.1.into()).saturating_mul(3 * copies);
    allowed.check_memory(decoder.total_bytes().saturating_add(rgb))?;
    decoder.set_limits(seequel_pixels::limits(decoder.total_bytes().saturating_mul(2))).map_err(damaged)?;

    let stored = seequel_pixels::read_rgb8(decoder).map_err(damaged)?;
    Ok(upright(stored, orientation, upright_size(stored_size, orientation)))
}
