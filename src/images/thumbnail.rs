//! Small pictures of images, for pages.

use fast_image_resize::FilterType;

use super::decode::{Format, Limits, RgbImage, decode};
use super::functions::encode::{Encoding, encode};
use super::functions::pixels::{least_scale, scale};
use super::functions::thumbnail::fitted;

/// Longest side in pixels.
const SIDE: u32 = 192;

/// JPEG quality.
const QUALITY: u32 = 80;

/// A small picture of an image.
pub(crate) struct Thumbnail {
    pub(crate) jpeg: Vec<u8>,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Thumbnail {
    /// That of an encoded image.
    ///
    /// # Errors
    /// Why the image can't be decoded.
    pub(crate) fn of_file(bytes: &[u8], max_pixels: u64) -> Result<Self, String> {
        let least = |width, height| least_scale((width, height), fitted((width, height), SIDE));
        let image = decode(bytes, &Limits::pixels(max_pixels), least).map_err(|error| error.to_string())?;
        Self::of(&image)
    }

    /// That of a decoded image.
    ///
    /// # Errors
    /// The encoder's.
    pub(crate) fn of(image: &RgbImage) -> Result<Self, String> {
        let (width, height) = fitted((image.width, image.height), SIDE);
        let limits = Limits::pixels(u64::from(SIDE * SIDE));
        let small = scale(image, (width, height), FilterType::Bilinear, &limits)?;
        let jpeg = encode(&small, Encoding { format: Format::Jpeg, quality: QUALITY })?;
        Ok(Self { jpeg, width, height })
    }
}
