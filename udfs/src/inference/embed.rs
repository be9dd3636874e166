//! `embed(image [, model])`: the embedding of an image.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{Documentation, TypeSignatureClass};

use super::call::Request;
use super::function::{Function, SECTION};
use super::signatures::EMBED as SIGNATURE;

/// `FixedSizeList<Float32, dimensions>`; either the whole vector is NULL or no element.
#[must_use]
pub fn embedding_type(dimensions: i32) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, true)), dimensions)
}

pub(crate) static EMBED: Function = Function {
    name: "embed",
    signature: SIGNATURE,
    model: 1,
    example: || vec![TypeSignatureClass::Binary],
    example_type: || None,
    read: |arguments| arguments.image_call(Request::Embed),
    documentation: LazyLock::new(|| {
        Documentation::builder(
            SECTION,
            "An image as a vector: images of like content have vectors of like direction. The length is the model's. An image that can't be decoded, or is NULL, gives NULL.",
            SIGNATURE,
        )
        .with_argument("image", "The bytes of an image file: a binary column, or a struct with a field `bytes`.")
        .with_argument("model", "Name of a model that gives vectors, a literal: one for feature-extraction, or a classifier with a second output. Without it: the setting inference.default_model.")
        .with_sql_example("COPY (SELECT path, embed(image) AS vector FROM read_images('photos/')) TO 'vectors.parquet';")
        .build()
    }),
};
