//! Scaling and cropping of decoded pixels.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::images::decode::{Limits, RgbImage};

/// The smallest scale, in (0, 1], at which an image of size `from` is at least as large as `to`.
pub(crate) fn least_scale(from: (u32, u32), to: (u32, u32)) -> f64 {
    let ratio = |from: u32, to: u32| f64::from(to) / f64::from(from.max(1));
    ratio(from.0, to.0).max(ratio(from.1, to.1)).min(1.0)
}

/// `image` stretched to `width` × `height` pixels by `filter`, which averages when it shrinks.
///
/// # Errors
/// More pixels than `limits` allow, before memory is allocated for them.
pub(crate) fn scale(
    image: &RgbImage,
    (width, height): (u32, u32),
    filter: FilterType,
    limits: &Limits<'_>,
) -> Result<RgbImage, String> {
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        let most = limits.max_pixels;
        return Err(format!(
            "{width} × {height} pixels of the result are more than inference.max_image_pixels ({most})"
        ));
    }
    let mut scaled = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let size = (image.width, image.height);
    seequel_pixels::resize(&mut Resizer::new(), size, &image.pixels, &mut scaled, &options)?;
    Ok(RgbImage {
        width,
        height,
        pixels: scaled.into_vec(),
        original_width: image.original_width,
        original_height: image.original_height,
    })
}

/// Columns `left..right` of rows `top..bottom`, which must be in the image.
pub(crate) fn cut(image: &RgbImage, (left, top, right, bottom): (u32, u32, u32, u32)) -> RgbImage {
    let stride = image.width as usize * 3;
    let columns = left as usize * 3..right as usize * 3;
    let rows = image.pixels.chunks_exact(stride).take(bottom as usize).skip(top as usize);
    RgbImage {
        width: right - left,
        height: bottom - top,
        pixels: rows.flat_map(|row| &row[columns.clone()]).copied().collect(),
        original_width: image.original_width,
        original_height: image.original_height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::decode::{Format, decode};
    use crate::images::functions::encode::{Encoding, encode};
    use crate::images::functions::resize::resized;
    use crate::images::functions::row_image::RowImage;
    use crate::images::samples::{self, BLUE, GREEN, RED, WHITE};

    const LIMITS: Limits<'static> = Limits { max_pixels: 1_000_000, memory_limit: None, admit: &|_| true };

    fn decoded(bytes: &[u8]) -> RgbImage {
        decode(bytes, &LIMITS, |_, _| 1.0).unwrap()
    }

    fn resize(bytes: &[u8], size_for: impl Fn((u32, u32)) -> (u32, u32)) -> Result<Vec<u8>, String> {
        resized(&RowImage::new(bytes, &LIMITS), size_for)
    }

    fn pixel(image: &RgbImage, x: u32, y: u32) -> [u8; 3] {
        let at = 3 * (y as usize * image.width as usize + x as usize);
        [image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]]
    }

    /// Red and green above blue and white, 64 × 32.
    fn tiles(format: Format) -> Vec<u8> {
        samples::encode(&image::DynamicImage::ImageRgb8(samples::tiles(64, 32)), format)
    }

    #[test]
    fn decoders_do_not_shrink_below_the_target_size() {
        assert_eq!(least_scale((1000, 400), (100, 100)), 0.25);
        assert_eq!(least_scale((100, 100), (200, 10)), 1.0);
    }

    #[test]
    fn a_cut_has_the_pixels_of_its_box() {
        let image = decoded(&tiles(Format::Png));
        let part = cut(&image, (31, 14, 34, 18));
        assert_eq!((part.width, part.height), (3, 4));
        let rows = [[RED, GREEN, GREEN], [RED, GREEN, GREEN], [BLUE, WHITE, WHITE], [BLUE, WHITE, WHITE]];
        assert_eq!(part.pixels, rows.as_flattened().as_flattened());
        assert_eq!(cut(&image, (0, 0, 64, 32)), image);
        let written = encode(&part, Encoding { format: Format::Png, quality: 1 }).unwrap();
        assert_eq!(decoded(&written).pixels, part.pixels, "and a PNG keeps them");
    }

    #[test]
    fn scaling_keeps_the_position_of_colours() {
        for (format, tolerance) in [(Format::Png, 0), (Format::Jpeg, 8)] {
            for (width, height) in [(16, 8), (200, 300), (64, 32)] {
                let image = decoded(&resize(&tiles(format), |_| (width, height)).unwrap());
                assert_eq!((image.width, image.height), (width, height));
                let expected = [(1, 1, RED), (3, 1, GREEN), (1, 3, BLUE), (3, 3, WHITE)];
                for (x, y, colour) in expected {
                    let found = pixel(&image, x * width / 4, y * height / 4);
                    let near = found.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= tolerance);
                    assert!(near, "{format:?} at {width} × {height}: {found:?} should be {colour:?}");
                }
            }
        }
    }

    #[test]
    fn a_rotated_image_is_scaled_upright() {
        let turned = samples::encode_turned(&samples::tiles(64, 32), Format::Jpeg, 6);
        let image = decoded(&resize(&turned, |(width, height)| (width / 2, height / 2)).unwrap());
        assert_eq!((image.width, image.height), (16, 32));
        assert!(pixel(&image, 4, 8).iter().zip(BLUE).all(|(a, b)| a.abs_diff(b) <= 8));
    }

    #[test]
    fn rejects_results_with_too_many_pixels() {
        let error = resize(&tiles(Format::Png), |_| (1001, 1000)).unwrap_err();
        assert!(error.starts_with("1001 × 1000 pixels of the result are more than"), "{error}");
    }
}
