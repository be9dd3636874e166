//! Decoded pixels, turned upright, and limits on their size.

use image::DynamicImage;
use image::metadata::Orientation;

use super::error::ImageError;
use super::format::Format;

/// A decoded image: interleaved RGB, 8 bits per channel, rows from top to bottom without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width of `pixels`; less than the original's if a JPEG was decoded at a smaller scale.
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

impl RgbImage {
    /// With left and right exchanged.
    pub(crate) fn mirrored(mut self) -> Self {
        for row in self.pixels.chunks_exact_mut((self.width as usize * 3).max(1)) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        self
    }
}

/// Limits on a decoder's allocations for pixels.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Maximum pixels, width × height, of the full-size image.
    pub max_pixels: u64,
    /// The session's memory limit in bytes, which messages name.
    pub memory_limit: Option<usize>,
    /// Called with a number of bytes before they are allocated; `false` rejects the image.
    pub admit: &'a dyn Fn(u64) -> bool,
}

impl std::fmt::Debug for Limits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("max_pixels", &self.max_pixels).finish_non_exhaustive()
    }
}

impl Limits<'_> {
    /// At most `max_pixels`, without a memory limit.
    #[must_use]
    pub fn pixels(max_pixels: u64) -> Self {
        Self { max_pixels, memory_limit: None, admit: &|_| true }
    }

    /// Rejects sizes of no pixels or too many, before anything is allocated for them.
    pub(crate) fn check_size(&self, (width, height): (u32, u32), format: Format) -> Result<(), ImageError> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(ImageError::damaged(format, &"it has no pixels"));
        }
        if pixels > self.max_pixels {
            return Err(ImageError::TooLarge { width, height, max_pixels: self.max_pixels });
        }
        Ok(())
    }

    pub(crate) fn check_memory(&self, bytes: u64) -> Result<(), ImageError> {
        if (self.admit)(bytes) {
            Ok(())
        } else {
            let limit = self.memory_limit.map(|limit| limit.div_ceil(1 << 20) as u64);
            Err(ImageError::NoMemory { megabytes: bytes.div_ceil(1 << 20), limit })
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
pub(crate) fn upright(stored: image::RgbImage, orientation: Orientation, original: (u32, u32)) -> RgbImage {
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
mod tests {
    use super::*;

    #[test]
    fn left_and_right_are_exchanged_in_each_row() {
        let pixels = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let image = RgbImage { width: 2, height: 2, pixels, original_width: 2, original_height: 2 };
        assert_eq!(image.clone().mirrored().pixels, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
        assert_eq!(image.clone().mirrored().mirrored(), image);
    }
}
