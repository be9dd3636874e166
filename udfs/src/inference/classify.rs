//! `classify(image [, model])`: the best class of an image.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::logical_expr::{Documentation, TypeSignatureClass};

use super::call::Request;
use super::function::{Function, SECTION};
use super::signatures::CLASSIFY as SIGNATURE;

/// Fields of the struct that `classify` returns, all nullable.
///
/// | field | type | value |
/// |---|---|---|
/// | `label` | Utf8 | name of the class, NULL if the row failed |
/// | `class` | Int32 | number of the class in the model's output, from 0 |
/// | `confidence` | Float32 | probability of the class, 0 to 1 |
/// | `model` | Utf8 | name of the model that made the prediction |
/// | `error` | Utf8 | why the row failed, otherwise NULL |
#[must_use]
pub fn classification_fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        Fields::from(vec![
            Field::new("label", DataType::Utf8, true),
            Field::new("class", DataType::Int32, true),
            Field::new("confidence", DataType::Float32, true),
            Field::new("model", DataType::Utf8, true),
            Field::new("error", DataType::Utf8, true),
        ])
    });
    &FIELDS
}

/// `Struct<label, class, confidence, model, error>`: see [`classification_fields`].
#[must_use]
pub fn classification_type() -> DataType {
    DataType::Struct(classification_fields().clone())
}

pub(crate) static CLASSIFY: Function = Function {
    name: "classify",
    signature: SIGNATURE,
    model: 1,
    example: || vec![TypeSignatureClass::Binary],
    example_type: || Some(classification_type()),
    read: |arguments| arguments.image_call(Request::Classify),
    documentation: LazyLock::new(|| {
        Documentation::builder(
            SECTION,
            "The most probable class of an image. A row that can't be decoded has a NULL label and an `error`; a NULL image gives NULL.",
            SIGNATURE,
        )
        .with_argument("image", "The bytes of an image file: a binary column, or a struct with a field `bytes`.")
        .with_argument("model", "Name of a model or ensemble, a literal. Without it: the setting inference.default_model.")
        .with_sql_example("SELECT path, classify(image)['label'] FROM read_images('photos/');")
        .build()
    }),
};
