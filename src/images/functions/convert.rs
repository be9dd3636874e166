//! `convert(image, format [, quality])`: an image in another file format.

use std::sync::LazyLock;

use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs};

use super::encode::{DEFAULT_QUALITY, Encoding, encode};
use super::image_function::ToImage;
use super::parameters;
use super::parameters::{Kind, Parameter};
use super::rows::Call;
use crate::images::decode::Format;

const SIGNATURE: &str = "convert(image, format [, quality])";
const FORMAT: Parameter = Parameter {
    name: "format",
    kind: Kind::Word(&["jpeg", "jpg", "png", "webp", "gif", "bmp", "tiff", "tif"]),
};
const PARAMETERS: &[Parameter] = &[FORMAT, Parameter { name: "quality", kind: Kind::Whole(1..=100) }];

/// The function `convert(image, format [, quality])`. SQL's `CONVERT` is a cast, which DataFusion lacks, but its parser
/// reserves the name; Seequel's parser frees it. Other parsers need `"convert"(…)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Convert;

impl ToImage for Convert {
    const NAME: &'static str = "convert";
    const WAYS: &'static [&'static [Parameter]] = &[&[FORMAT], PARAMETERS];

    fn check(args: &ReturnFieldArgs<'_>) -> Result<()> {
        let has_quality = args.arg_fields.len() > 2;
        let parameters = if has_quality { PARAMETERS } else { &[FORMAT] };
        parameters::check(SIGNATURE, args, parameters)
    }

    fn evaluate(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, PARAMETERS, args)?;
        let (formats, qualities) = match call.arguments() {
            [formats] => (formats, None),
            [formats, qualities] => (formats, Some(qualities)),
            _ => return internal_err!("{SIGNATURE} with other arguments passed planning"),
        };
        call.to_images(|row, image| {
            let format = parameters::text(formats, row).map(named).transpose()?;
            let quality = match qualities {
                Some(qualities) => parameters::whole(qualities, row, "quality", &(1..=100))?,
                None => Some(DEFAULT_QUALITY),
            };
            let Some((format, quality)) = format.zip(quality) else { return Ok(None) };
            let image = image.decode(|_, _| 1.0)?;
            encode(&image, Encoding { format, quality }).map(Some)
        })
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation("The image as a file of another format.", SIGNATURE)
                .with_argument(
                    "format",
                    "`jpeg` or `jpg`, `png`, `webp` (without loss), `gif` (256 colours), `bmp`, `tiff` or `tif`.",
                )
                .with_argument("quality", "Of a JPEG, 1 to 100; 90 by default. Other formats ignore it.")
                .with_sql_example("SELECT path, convert(image, 'jpeg', 80) FROM read_images('photos/');")
                .build()
        });
        &DOCUMENTATION
    }
}

fn named(name: &str) -> Result<Format, String> {
    Format::named(&name.to_ascii_lowercase()).ok_or_else(|| format!("unknown image format '{name}'"))
}
