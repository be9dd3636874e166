//! `resize(image, width, height)`: an image of exactly that size.

use std::sync::LazyLock;

use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs};
use fast_image_resize::FilterType;

use super::encode::{Encoding, encode};
use super::image_function::ToImage;
use super::parameters;
use super::parameters::{Kind, Parameter, SIDES};
use super::pixels::{least_scale, scale};
use super::row_image::RowImage;
use super::rows::Call;

const SIGNATURE: &str = "resize(image, width, height)";
const PARAMETERS: &[Parameter] = &[
    Parameter { name: "width", kind: Kind::Whole(SIDES) },
    Parameter { name: "height", kind: Kind::Whole(SIDES) },
];

/// The function `resize(image, width, height)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resize;

impl ToImage for Resize {
    const NAME: &'static str = "resize";
    const WAYS: &'static [&'static [Parameter]] = &[PARAMETERS];

    fn check(args: &ReturnFieldArgs<'_>) -> Result<()> {
        parameters::check(SIGNATURE, args, PARAMETERS)
    }

    fn evaluate(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, PARAMETERS, args)?;
        let [widths, heights] = call.arguments() else {
            return internal_err!("{SIGNATURE} with other arguments passed planning");
        };
        call.to_images(|row, image| {
            let width = parameters::whole(widths, row, "width", &SIDES)?;
            let height = parameters::whole(heights, row, "height", &SIDES)?;
            width.zip(height).map(|size| resized(image, |_| size)).transpose()
        })
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation("The image stretched to a size in pixels.", SIGNATURE)
                .with_argument("width", "Width of the result in pixels, 1 to 65500.")
                .with_argument("height", "Height of the result in pixels, 1 to 65500.")
                .with_sql_example("SELECT path, resize(image, 640, 480) FROM read_images('photos/');")
                .build()
        });
        &DOCUMENTATION
    }
}

/// The image at the size that `size_for` computes from its own, in the encoding of [`Encoding::like`]. Interpolation is
/// bicubic, as in Pillow.
pub(crate) fn resized(
    encoded: &RowImage<'_>,
    size_for: impl Fn((u32, u32)) -> (u32, u32),
) -> Result<Vec<u8>, String> {
    let least = |width, height| least_scale((width, height), size_for((width, height)));
    let image = encoded.decode(least)?;
    let size = size_for((image.original_width, image.original_height));
    let resized = scale(&image, size, FilterType::CatmullRom, encoded.limits)?;
    encode(&resized, Encoding::like(encoded.bytes))
}
