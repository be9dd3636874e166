//! Scaling and cutting out, on decoded pixels.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::images::{Limits, RgbImage};

/// The smallest scale, in (0, 1], at which an image of `from` pixels still has one for each pixel of `to`.
pub(super) fn least_scale(from: (u32, u32), to: (u32, u32)) -> f64 {
    let ratio = |from: u32, to: u32| f64::from(to) / f64::from(from.max(1));
    ratio(from.0, to.0).max(ratio(from.1, to.1)).min(1.0)
}

/// `image` stretched to `width` × `height` pixels by `filter`, which also averages where it makes smaller.
///
/// # Errors
/// More pixels than `limits` allow, before memory is taken for them.
pub(super) fn scale(
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
    let source = ImageRef::new(image.width, image.height, &image.pixels, PixelType::U8x3)
        .map_err(|error| error.to_string())?;
    let mut scaled = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize(&source, &mut scaled, &options).map_err(|error| error.to_string())?;
    Ok(RgbImage {
        width,
        height,
        pixels: scaled.into_vec(),
        original_width: image.original_width,
        original_height: image.original_height,
    })
}

/// Columns `left..right` of rows `top..bottom`, which must be in the image.
pub(super) fn cut(image: &RgbImage, (left, top, right, bottom): (u32, u32, u32, u32)) -> RgbImage {
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
