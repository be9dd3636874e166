//! `image_info(image)`: metadata from the file's headers.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, StringArray, StructArray, TimestampMicrosecondArray, UInt8Array, UInt32Array,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};

use super::parameters;
use super::parameters::Parameter;
use super::rows::Call;
use crate::images::decode::ImageError;
use crate::images::metadata::Metadata;

const SIGNATURE: &str = "image_info(image)";
const PARAMETERS: &[Parameter] = &[];

/// Fields of the result, all nullable: those of [`Metadata`], and `error`, the reason if the others are NULL.
fn fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        Fields::from(vec![
            Field::new("width", DataType::UInt32, true),
            Field::new("height", DataType::UInt32, true),
            Field::new("format", DataType::Utf8, true),
            Field::new("color", DataType::Utf8, true),
            Field::new("bits", DataType::UInt8, true),
            Field::new("orientation", DataType::UInt8, true),
            Field::new("frames", DataType::UInt32, true),
            Field::new("camera", DataType::Utf8, true),
            Field::new("taken", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("error", DataType::Utf8, true),
        ])
    });
    &FIELDS
}

/// The function `image_info(image)`. Its result contains any error, so no row fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ImageInfo {
    signature: Signature,
}

impl Default for ImageInfo {
    fn default() -> Self {
        Self { signature: parameters::signature(&[PARAMETERS]) }
    }
}

impl ScalarUDFImpl for ImageInfo {
    fn name(&self) -> &str {
        "image_info"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(parameters::coerce(arg_types))
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields().clone()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        parameters::check(SIGNATURE, &args, PARAMETERS)?;
        Ok(Arc::new(Field::new(self.name(), DataType::Struct(fields().clone()), true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, PARAMETERS, args)?;
        let images = call.images()?;
        let most = call.bounds().max_frames;
        let read = |row| images.get(row).map(|bytes| Metadata::read(bytes, most));
        let results: Vec<_> = (0..call.rows()).map(read).collect();
        call.output(Arc::new(to_array(&results)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation(
                "The headers of an image file: a struct of `width` and `height` as displayed, `format`, `color`, `bits`, `orientation`, `frames`, `camera`, `taken` and `error`. Pixels are not decoded, and a file whose headers can't be read has an `error`.",
                SIGNATURE,
            )
            .with_sql_example("SELECT path, image_info(image)['camera'] FROM read_images('photos/');")
            .build()
        });
        Some(&DOCUMENTATION)
    }
}

fn to_array(results: &[Option<Result<Metadata, ImageError>>]) -> Result<StructArray> {
    let found = || results.iter().map(|result| result.as_ref()?.as_ref().ok());
    let errors = results.iter().map(|result| result.as_ref()?.as_ref().err().map(ToString::to_string));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(found().map(|image| Some(image?.width)).collect::<UInt32Array>()),
        Arc::new(found().map(|image| Some(image?.height)).collect::<UInt32Array>()),
        Arc::new(found().map(|image| Some(image?.format)).collect::<StringArray>()),
        Arc::new(found().map(|image| Some(image?.color)).collect::<StringArray>()),
        Arc::new(found().map(|image| Some(image?.bits)).collect::<UInt8Array>()),
        Arc::new(found().map(|image| Some(image?.orientation)).collect::<UInt8Array>()),
        Arc::new(found().map(|image| image?.frames).collect::<UInt32Array>()),
        Arc::new(found().map(|image| image?.camera.as_deref()).collect::<StringArray>()),
        Arc::new(found().map(|image| image?.taken).collect::<TimestampMicrosecondArray>()),
        Arc::new(errors.collect::<StringArray>()),
    ];
    let nulls: NullBuffer = results.iter().map(Option::is_some).collect::<Vec<_>>().into();
    Ok(StructArray::try_new(fields().clone(), columns, Some(nulls))?)
}
