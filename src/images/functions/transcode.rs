//! `transcode(image, format [, quality])`: an image in another file format.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};

use super::encode::{DEFAULT_QUALITY, Encoding, encode};
use super::parameters::{self, Kind, Parameter};
use super::rows::{Call, image_field};
use crate::images::decode;
use crate::images::format::Format;

const SIGNATURE: &str = "transcode(image, format [, quality])";
const PARAMETERS: &[Parameter] = &[
    Parameter { name: "format", kind: Kind::Word(&["jpeg", "png", "webp", "gif", "bmp", "tiff"]) },
    Parameter { name: "quality", kind: Kind::Whole(1..=100) },
];
/// Those of a call that leaves the quality open.
const REQUIRED: usize = 1;

/// The function `transcode(image, format [, quality])`. SQL's `CONVERT` is a cast, which the parser keeps the name for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Transcode {
    signature: Signature,
}

impl Default for Transcode {
    fn default() -> Self {
        Self { signature: parameters::signature(&[&PARAMETERS[..REQUIRED], PARAMETERS]) }
    }
}

impl ScalarUDFImpl for Transcode {
    fn name(&self) -> &str {
        "transcode"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(parameters::coerce(arg_types))
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::BinaryView)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let has_quality = args.arg_fields.len() > 1 + REQUIRED;
        let parameters = if has_quality { PARAMETERS } else { &PARAMETERS[..REQUIRED] };
        parameters::check(SIGNATURE, &args, parameters)?;
        Ok(image_field(self.name()))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, PARAMETERS, args)?;
        let (formats, qualities) = match call.arguments() {
            [formats] => (formats, None),
            [formats, qualities] => (formats, Some(qualities)),
            _ => return internal_err!("{SIGNATURE} with other arguments passed planning"),
        };
        call.to_images(|row, bytes, limits| {
            let format = parameters::text(formats, row).map(named).transpose()?;
            let quality = match qualities {
                Some(qualities) => parameters::whole(qualities, row, "quality", &(1..=100))?,
                None => Some(DEFAULT_QUALITY),
            };
            let Some((format, quality)) = format.zip(quality) else { return Ok(None) };
            let image = decode(bytes, limits, |_, _| 1.0).map_err(|error| error.to_string())?;
            encode(&image, Encoding { format, quality }).map(Some)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation("The image as a file of another format.", SIGNATURE)
                .with_argument(
                    "format",
                    "`jpeg`, `png`, `webp` (without loss), `gif` (256 colours), `bmp` or `tiff`.",
                )
                .with_argument(
                    "quality",
                    "Of a JPEG, 1 to 100; 90 if left out. Other formats take no notice.",
                )
                .with_sql_example("SELECT path, transcode(image, 'jpeg', 80) FROM read_images('photos/');")
                .build()
        });
        Some(&DOCUMENTATION)
    }
}

fn named(name: &str) -> Result<Format, String> {
    Format::named(&name.to_ascii_lowercase()).ok_or_else(|| format!("there is no image format '{name}'"))
}
