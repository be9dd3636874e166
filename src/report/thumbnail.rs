//! Small pictures within a page.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::imageops::thumbnail;

use crate::images::decode::{Format, Limits, RgbImage, decode};
use crate::images::functions::encode::{Encoding, encode};

/// Longest side in pixels.
const SIDE: u32 = 192;

/// JPEG quality.
const QUALITY: u32 = 80;

/// An `<img>` of an encoded image.
///
/// # Errors
/// Why the image can't be decoded.
pub(super) fn img(bytes: &[u8], max_pixels: u64) -> Result<String, String> {
    let scale = |width: u32, height: u32| (f64::from(SIDE) / f64::from(width.max(height).max(1))).min(1.0);
    let decoded = decode(bytes, &Limits::pixels(max_pixels), scale).map_err(|error| error.to_string())?;
    let scale = scale(decoded.width, decoded.height);
    let side = |length: u32| (f64::from(length) * scale).round().max(1.0) as u32;
    let (width, height) = (side(decoded.width), side(decoded.height));
    let pixels = image::RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels)
        .ok_or("the decoder returned too few pixels")?;
    let pixels = thumbnail(&pixels, width, height).into_raw();
    let image = RgbImage { width, height, pixels, original_width: width, original_height: height };
    let jpeg = encode(&image, Encoding { format: Format::Jpeg, quality: QUALITY })?;
    let jpeg = BASE64_STANDARD.encode(jpeg);
    Ok(format!("<img src=\"data:image/jpeg;base64,{jpeg}\" width=\"{width}\" height=\"{height}\" alt=\"\">"))
}
