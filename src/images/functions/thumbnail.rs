//! `thumbnail(image, max_side)`: a small image with the same aspect ratio.

use std::sync::LazyLock;

use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs};

use super::image_function::ToImage;
use super::parameters;
use super::parameters::{Kind, Parameter, SIDES};
use super::resize::resized;
use super::rows::Call;

const SIGNATURE: &str = "thumbnail(image, max_side)";
const PARAMETERS: &[Parameter] = &[Parameter { name: "max_side", kind: Kind::Whole(SIDES) }];

/// The function `thumbnail(image, max_side)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Thumbnail;

impl ToImage for Thumbnail {
    const NAME: &'static str = "thumbnail";
    const WAYS: &'static [&'static [Parameter]] = &[PARAMETERS];

    fn check(args: &ReturnFieldArgs<'_>) -> Result<()> {
        parameters::check(SIGNATURE, args, PARAMETERS)
    }

    fn evaluate(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, PARAMETERS, args)?;
        let [max_sides] = call.arguments() else {
            return internal_err!("{SIGNATURE} with other arguments passed planning");
        };
        call.to_images(|row, image| {
            let max_side = parameters::whole(max_sides, row, "max_side", &SIDES)?;
            max_side.map(|most| resized(image, |size| fitted(size, most))).transpose()
        })
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation(
                "The image in its proportions with no side longer than `max_side`; a smaller one keeps its size.",
                SIGNATURE,
            )
            .with_argument("max_side", "Longest side of the result in pixels, 1 to 65500.")
            .with_sql_example("SELECT path, thumbnail(image, 256) FROM read_images('photos/');")
            .build()
        });
        &DOCUMENTATION
    }
}

/// The largest size with the aspect ratio of `size`, no larger than it, whose sides are at most `most`.
pub(crate) fn fitted((width, height): (u32, u32), most: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= most {
        return (width, height);
    }
    let shrunk = |side: u32| {
        let exact = f64::from(side) * f64::from(most) / f64::from(longest);
        (exact.round() as u32).max(1)
    };
    (shrunk(width), shrunk(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_aspect_ratio_and_at_least_one_pixel() {
        assert_eq!(fitted((400, 200), 100), (100, 50));
        assert_eq!(fitted((200, 400), 100), (50, 100));
        assert_eq!(fitted((65_535, 1), 100), (100, 1));
        assert_eq!(fitted((100, 99), 100), (100, 99));
        assert_eq!(fitted((3, 2), 1), (1, 1));
    }
}
