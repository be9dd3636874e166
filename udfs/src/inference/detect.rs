//! `detect(image [, model])`: the objects in an image.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::logical_expr::{Documentation, TypeSignatureClass};

use super::call::Request;
use super::function::{Function, SECTION};
use super::signatures::DETECT as SIGNATURE;

/// Fields of a box: Float32, in pixels of the full-size image as displayed. `x0`, `y0` is the top left corner, `x1`,
/// `y1` the bottom right.
#[must_use]
pub fn box_fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        ["x0", "y0", "x1", "y1"].iter().map(|name| Field::new(*name, DataType::Float32, true)).collect()
    });
    &FIELDS
}

/// Fields of each object that `detect` returns.
///
/// | field | type | value |
/// |---|---|---|
/// | `label` | Utf8 | name of the class |
/// | `class` | Int32 | number of the class, from 0 |
/// | `confidence` | Float32 | probability of the object, 0 to 1 |
/// | `box` | Struct | position, see [`box_fields`] |
#[must_use]
pub fn detection_fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        Fields::from(vec![
            Field::new("label", DataType::Utf8, true),
            Field::new("class", DataType::Int32, true),
            Field::new("confidence", DataType::Float32, true),
            Field::new("box", DataType::Struct(box_fields().clone()), true),
        ])
    });
    &FIELDS
}

/// `List<Struct<label, class, confidence, box>>`, by descending confidence: see [`detection_fields`].
#[must_use]
pub fn detections_type() -> DataType {
    let object = DataType::Struct(detection_fields().clone());
    DataType::List(Arc::new(Field::new_list_field(object, true)))
}

pub(crate) static DETECT: Function = Function {
    name: "detect",
    signature: SIGNATURE,
    model: 1,
    example: || vec![TypeSignatureClass::Binary],
    example_type: || Some(detections_type()),
    read: |arguments| arguments.image_call(Request::Detect),
    documentation: LazyLock::new(|| {
        Documentation::builder(
            SECTION,
            "The objects in an image, surest first, each with its box in pixels of the upright image; an empty list if there are none. An image that can't be decoded, or is NULL, gives NULL.",
            SIGNATURE,
        )
        .with_argument("image", "The bytes of an image file: a binary column, or a struct with a field `bytes`.")
        .with_argument("model", "Name of a model for object-detection, a literal. Without it: the setting inference.default_model.")
        .with_sql_example("SELECT path, b['label'], b['box'] FROM (SELECT path, unnest(detect(image, 'yolov3_tiny')) AS b FROM images);")
        .build()
    }),
};
