//! `predict(model, input, …)`: all outputs of a model.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::types::logical_string;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Documentation, TypeSignatureClass};

use super::call::{Arguments, Call, ReadCall, Request};
use super::function::{Function, SECTION};
use super::signatures::PREDICT as SIGNATURE;

pub(crate) static PREDICT: Function = Function {
    name: "predict",
    signature: SIGNATURE,
    model: 0,
    example: || vec![TypeSignatureClass::Native(logical_string()), TypeSignatureClass::Binary],
    example_type: || Some(DataType::Struct(Fields::empty())),
    read,
    documentation: LazyLock::new(|| {
        Documentation::builder(
            SECTION,
            "Every output of a model, as the fields of a struct. A field is one number or text, or a row's numbers in lists as deep as the output's shape; their lengths are fixed where the model's are. What can't be decoded, does not fit, or is NULL gives NULL.",
            SIGNATURE,
        )
        .with_argument("model", "Name of a model of any task, a literal.")
        .with_argument("input", "The model's inputs, in their order. For an image the bytes of an image file, a binary column or a struct with a field `bytes`; for other inputs a list of numbers, or as many columns of numbers as a row has. Text is refused.")
        .with_sql_example("SELECT path, predict('efficientnet_lite0', image)['logits'] FROM read_images('photos/');\nSELECT predict('churn', age, income, visits)['probabilities'] FROM 'customers.parquet';")
        .build()
    }),
};

fn read(arguments: &Arguments<'_>) -> Result<ReadCall> {
    let count = arguments.literals.len();
    if count < 2 {
        return plan_err!("{SIGNATURE} takes the name of a model and its inputs, not {count} arguments");
    }
    let call = Call { request: Request::Predict, model: arguments.model(0)? };
    Ok(ReadCall { call, inputs: 1..count })
}
