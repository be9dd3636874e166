//! The arguments of the image functions: their types, checks of literals, and their values row by row.

use std::ops::RangeInclusive;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::types::logical_string;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, Signature, TypeSignature, TypeSignatureClass, Volatility};
use seequel_udfs::{arguments, check_image_type, decoded_image_type, listed_signature};

/// Pixels on a side of a function's result: libjpeg-turbo's limit.
pub(crate) const SIDES: RangeInclusive<i64> = 1..=65_500;

/// An argument after the image.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The type and valid values of an argument.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A whole number in a range, as Int64.
    Whole(RangeInclusive<i64>),
    /// Any number, as Float64.
    Real,
    /// One of these words, as Utf8.
    Word(&'static [&'static str]),
}

impl Kind {
    /// The type that its values are cast to for evaluation.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Whole(_) => DataType::Int64,
            Self::Real => DataType::Float64,
            Self::Word(_) => DataType::Utf8,
        }
    }

    fn class(&self) -> TypeSignatureClass {
        match self {
            Self::Whole(_) => TypeSignatureClass::Integer,
            Self::Real => TypeSignatureClass::Float,
            Self::Word(_) => TypeSignatureClass::Native(logical_string()),
        }
    }

    fn takes(&self, data_type: &DataType) -> bool {
        match self {
            Self::Whole(_) => data_type.is_integer() || data_type.is_null(),
            Self::Real => data_type.is_numeric() || data_type.is_null(),
            Self::Word(_) => data_type.is_string() || data_type.is_null(),
        }
    }

    /// The error in a literal, as the end of a sentence.
    fn error_of(&self, literal: &ScalarValue) -> Option<String> {
        let Ok(value) = literal.cast_to(&self.data_type()) else {
            return Some(format!("can't be {literal}"));
        };
        match (self, value) {
            (Self::Whole(range), ScalarValue::Int64(Some(value))) => check_whole(range, value).err(),
            (Self::Word(words), ScalarValue::Utf8(Some(word))) => check_word(words, &word).err(),
            _ => None,
        }
    }
}

/// A signature with one form for each of `ways`, the parameters after the image.
pub(crate) fn signature(ways: &[&[Parameter]]) -> Signature {
    let example = |parameters: &&[Parameter]| -> TypeSignature {
        let classes: Vec<_> = parameters.iter().map(|parameter| parameter.kind.class()).collect();
        arguments(&[&[TypeSignatureClass::Binary], classes.as_slice()].concat())
    };
    listed_signature(Volatility::Immutable, ways.iter().map(example).collect())
}

/// Types to cast the arguments to before they are evaluated: a dictionary of images becomes a column of images.
///
/// Other types are unchanged: [`check`] rejects invalid ones, and [`Call`](super::rows::Call) casts the rest.
pub(crate) fn coerce(arg_types: &[DataType]) -> Vec<DataType> {
    let mut coerced = arg_types.to_vec();
    if let Some(image) = coerced.first_mut() {
        *image = decoded_image_type(image).clone();
    }
    coerced
}

/// Checks the types of a call's arguments, and the values of those that are literals.
///
/// # Errors
/// A plan error that starts with `signature` and states what is valid.
pub(crate) fn check(signature: &str, args: &ReturnFieldArgs<'_>, parameters: &[Parameter]) -> Result<()> {
    let found = args.arg_fields.len();
    let Some((image, rest)) =
        args.arg_fields.split_first().filter(|(_, rest)| rest.len() == parameters.len())
    else {
        return plan_err!("{signature} does not take {found} arguments");
    };
    check_image_type(signature, image.data_type())?;
    let literals = args.scalar_arguments.iter().skip(1);
    for ((parameter, field), literal) in parameters.iter().zip(rest).zip(literals) {
        let Parameter { name, kind } = parameter;
        if !kind.takes(field.data_type()) {
            let expected = match kind {
                Kind::Whole(_) => "a whole number",
                Kind::Real => "a number",
                Kind::Word(_) => "text",
            };
            return plan_err!("{signature}: {name} must be {expected}, not {}", field.data_type());
        }
        if let Some(error) = literal.and_then(|literal| kind.error_of(literal)) {
            return plan_err!("{signature}: {name} {error}");
        }
    }
    Ok(())
}

/// The value of an Int64 argument in a row, if it is in the range.
///
/// # Errors
/// A reason for the row's failure.
pub(crate) fn whole(
    column: &ArrayRef,
    row: usize,
    name: &str,
    range: &RangeInclusive<i64>,
) -> Result<Option<u32>, String> {
    let column = column.as_primitive::<Int64Type>();
    if column.is_null(row) {
        return Ok(None);
    }
    check_whole(range, column.value(row)).map(Some).map_err(|error| format!("{name} {error}"))
}

/// The value of a Float64 argument in a row.
pub(crate) fn real(column: &ArrayRef, row: usize) -> Option<f64> {
    let column = column.as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

/// The value of a Utf8 argument in a row.
pub(crate) fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    let column = column.as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

fn check_whole(range: &RangeInclusive<i64>, value: i64) -> Result<u32, String> {
    let (least, most) = (range.start(), range.end());
    let error = || format!("must be from {least} to {most}, not {value}");
    u32::try_from(value).ok().filter(|_| range.contains(&value)).ok_or_else(error)
}

fn check_word(words: &[&str], word: &str) -> Result<(), String> {
    if words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    Err(format!("must be one of {}, not '{word}'", words.join(", ")))
}
