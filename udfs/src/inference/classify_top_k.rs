//! `classify_top_k(image, k [, model])`: the best classes of an image.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Documentation, TypeSignatureClass};

use super::call::{Arguments, ReadCall, Request};
use super::function::{Function, SECTION};
use super::signatures::CLASSIFY_TOP_K as SIGNATURE;

/// Fields of each class that `classify_top_k` returns, like those of [`classify`](crate::classification_fields).
///
/// | field | type | value |
/// |---|---|---|
/// | `label` | Utf8 | name of the class |
/// | `class` | Int32 | number of the class in the model's output, from 0 |
/// | `confidence` | Float32 | probability of the class, 0 to 1 |
#[must_use]
pub fn ranked_class_fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        Fields::from(vec![
            Field::new("label", DataType::Utf8, true),
            Field::new("class", DataType::Int32, true),
            Field::new("confidence", DataType::Float32, true),
        ])
    });
    &FIELDS
}

/// `List<Struct<label, class, confidence>>`, best first: see [`ranked_class_fields`].
#[must_use]
pub fn ranked_classes_type() -> DataType {
    let class = DataType::Struct(ranked_class_fields().clone());
    DataType::List(Arc::new(Field::new_list_field(class, true)))
}

pub(crate) static CLASSIFY_TOP_K: Function = Function {
    name: "classify_top_k",
    signature: SIGNATURE,
    model: 2,
    example: || vec![TypeSignatureClass::Binary, TypeSignatureClass::Integer],
    example_type: || Some(ranked_classes_type()),
    read,
    documentation: LazyLock::new(|| {
        Documentation::builder(
            SECTION,
            "The `k` most probable classes of an image, best first; all classes if there are fewer. An image that can't be decoded, or is NULL, gives NULL.",
            SIGNATURE,
        )
        .with_argument("image", "The bytes of an image file: a binary column, or a struct with a field `bytes`.")
        .with_argument("k", "How many classes, a literal from 1.")
        .with_argument("model", "Name of a model, or of an ensemble by mean or weights, a literal. Without it: the setting inference.default_model.")
        .with_sql_example("SELECT path, unnest(classify_top_k(image, 3)) FROM read_images('photos/');")
        .build()
    }),
};

fn read(arguments: &Arguments<'_>) -> Result<ReadCall> {
    let Some(k) = arguments.literals.get(1) else {
        return arguments.image_call(Request::ClassifyTopK { k: 1 });
    };
    let Some(k) = k.and_then(positive_integer) else {
        return plan_err!("{SIGNATURE}: k must be a whole number from 1, a literal such as 5");
    };
    arguments.image_call(Request::ClassifyTopK { k })
}

/// A literal's value, if it is a whole number above 0.
fn positive_integer(literal: &ScalarValue) -> Option<usize> {
    if !literal.data_type().is_integer() {
        return None;
    }
    match literal.cast_to(&DataType::UInt32).ok()? {
        ScalarValue::UInt32(Some(number)) if number > 0 => usize::try_from(number).ok(),
        _ => None,
    }
}
