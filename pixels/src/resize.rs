//! Resizing by `fast_image_resize`, whose entry point is generic.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{PixelType, ResizeOptions, Resizer};

/// Resizes interleaved RGB `pixels` of an image of `width` × `height` to the size of `target`.
///
/// Calls `resize_typed`, since `resize` compiles kernels for all 13 types of pixels: 3 MB of code.
///
/// # Errors
/// The reason, in words: a number of pixels that contradicts the size, a target that is not RGB, a crop box beyond the
/// image.
pub fn resize(
    resizer: &mut Resizer,
    (width, height): (u32, u32),
    pixels: &[u8],
    target: &mut Image<'static>,
    options: &ResizeOptions,
) -> Result<(), String> {
    let source = ImageRef::new(width, height, pixels, PixelType::U8x3).map_err(|error| error.to_string())?;
    let (source, mut target) = source
        .typed_image::<U8x3>()
        .zip(target.typed_image_mut::<U8x3>())
        .ok_or("the target of resizing is not RGB")?;
    resizer.resize_typed(&source, &mut target, options).map_err(|error| error.to_string())
}
