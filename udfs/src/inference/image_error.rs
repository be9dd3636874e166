//! `image_error(image [, model])`: why an image has no prediction.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{Documentation, TypeSignatureClass};

use super::call::{Arguments, Call, ReadCall, Request};
use super::function::{Function, SECTION};
use super::signatures::IMAGE_ERROR as SIGNATURE;

pub(crate) static IMAGE_ERROR: Function = Function {
    name: "image_error",
    signature: SIGNATURE,
    model: 1,
    example: || vec![TypeSignatureClass::Binary],
    example_type: || Some(DataType::Utf8),
    read,
    documentation: LazyLock::new(|| {
        Documentation::builder(
            SECTION,
            "Why an image can't be read, decoded or inferred; NULL if all is well, or the image is NULL. Other calls of the query on the same image share its decoding and the runs of their models with it.",
            SIGNATURE,
        )
        .with_argument("image", "The bytes of an image file: a binary column, or a struct with a field `bytes`.")
        .with_argument("model", "Name of a model or ensemble that must be able to infer the image, a literal. Without it no model runs for this function: the image must be decodable, and inferred by the models that the query's other calls on it name.")
        .with_sql_example("SELECT path, embed(image) AS vector, image_error(image) AS error FROM read_images('photos/');")
        .build()
    }),
};

/// A call without a model has an empty name for it.
fn read(arguments: &Arguments<'_>) -> Result<ReadCall> {
    let request = Request::ImageError;
    if arguments.literals.len() == 1 {
        return Ok(ReadCall { call: Call { request, model: String::new() }, inputs: 0..1 });
    }
    arguments.image_call(request)
}
