//! Shared code of the functions of two vectors: types, zero-copy rows, and the sum they are computed from.
//!
//! ```text
//!  List | LargeList | FixedSizeList   of Float32 | Float64        a column, or one vector for all rows
//!        └── offsets, or a length ──────► slices of the flat values ──► Kernel ──► Float64
//! ```
//!
//! Nothing is cast or expanded: Float32 is widened in registers, and a literal stays one vector. Only lists of other
//! number types are cast, to Float64, by DataFusion. Rules for every function:
//!
//! - a NULL vector, or one with a NULL element, gives NULL;
//! - vectors of different lengths are an error that names both lengths;
//! - sums are computed in Float64, so Float32 rounding does not accumulate.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{ArrowPrimitiveType, Float64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::columns::{Operand, Rows, Vectors};
use crate::signature::listed_signature;

/// Section of the functions in the documentation.
const SECTION: &str = "Vector Functions";

/// Accumulators of a sum: the doubles in two vector registers of eight, so that additions overlap.
const LANES: usize = 16;

/// The definition of a function of two vectors.
pub trait Kernel: Debug + Default + Eq + Hash + Send + Sync + 'static {
    /// Name of the function in SQL.
    const NAME: &'static str;
    /// The function's signature, which starts every error.
    const SIGNATURE: &'static str;

    /// The result for two vectors of equal length, or `None` for NULL.
    fn measure<A: Into<f64> + Copy, B: Into<f64> + Copy>(a: &[A], b: &[B]) -> Option<f64>;

    /// Other names of the function.
    fn aliases() -> &'static [String] {
        &[]
    }

    /// The documentation that `SHOW FUNCTIONS` prints.
    fn documentation() -> &'static Documentation;
}

/// `Σ term(aᵢ, bᵢ)`; elements beyond the shorter slice are ignored.
pub(crate) fn sum_of<A: Into<f64> + Copy, B: Into<f64> + Copy>(
    a: &[A],
    b: &[B],
    term: impl Fn(f64, f64) -> f64,
) -> f64 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += term((*a).into(), (*b).into());
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| term((*a).into(), (*b).into())).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Builds the documentation of a function of two vectors.
pub(crate) fn documentation(description: &str, signature: &str, sql_example: &str) -> Documentation {
    let section = DocSection { include: true, label: SECTION, description: None };
    Documentation::builder(section, description, signature)
        .with_argument(
            "a",
            "A vector: a List, LargeList or FixedSizeList of numbers. NULL, or a NULL element, gives NULL.",
        )
        .with_argument("b", "A vector of as many elements; any other number of them is an error.")
        .with_sql_example(sql_example)
        .build()
}

/// A function of two vectors that returns a Float64.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct VectorFunction<K> {
    signature: Signature,
    kernel: PhantomData<K>,
}

impl<K> Default for VectorFunction<K> {
    fn default() -> Self {
        let vector = DataType::new_list(DataType::Float32, true);
        let example = TypeSignature::Exact(vec![vector.clone(), vector]);
        Self { signature: listed_signature(Volatility::Immutable, vec![example]), kernel: PhantomData }
    }
}

impl<K: Kernel> ScalarUDFImpl for VectorFunction<K> {
    fn name(&self) -> &str {
        K::NAME
    }

    fn aliases(&self) -> &[String] {
        K::aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.iter().map(coerced).collect())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [a, b] = args.arg_fields else {
            let given = args.arg_fields.len();
            return plan_err!("{}: {} function requires 2 arguments, got {given}", K::SIGNATURE, K::NAME);
        };
        for (name, field) in [("a", a), ("b", b)] {
            if !is_vector(&coerced(field.data_type())) {
                let found = field.data_type();
                return plan_err!(
                    "{}: {name} must be a list of numbers; {} does not support type {found}",
                    K::SIGNATURE,
                    K::NAME
                );
            }
        }
        if let (DataType::FixedSizeList(_, a), DataType::FixedSizeList(_, b)) = (a.data_type(), b.data_type())
            && a != b
        {
            return plan_err!("{}", different_lengths::<K>(a, b));
        }
        Ok(Arc::new(Field::new(K::NAME, DataType::Float64, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = args.args.as_slice() else {
            return internal_err!("{} without two arguments passed planning", K::SIGNATURE);
        };
        let is_scalar = matches!((a, b), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let (a, b) = (Operand::of(a)?, Operand::of(b)?);
        let measures = match (a.vectors()?, b.vectors()?) {
            (Vectors::F32(a), Vectors::F32(b)) => measure::<K, _, _>(&a, &b, rows),
            (Vectors::F32(a), Vectors::F64(b)) => measure::<K, _, _>(&a, &b, rows),
            (Vectors::F64(a), Vectors::F32(b)) => measure::<K, _, _>(&a, &b, rows),
            (Vectors::F64(a), Vectors::F64(b)) => measure::<K, _, _>(&a, &b, rows),
        }?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&measures, 0)?),
            false => ColumnarValue::Array(Arc::new(measures)),
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(K::documentation())
    }
}

/// The type an argument is cast to: its own type if it is a vector, a list of Float64 if it holds other numbers.
fn coerced(data_type: &DataType) -> DataType {
    match data_type {
        vector if is_vector(vector) => vector.clone(),
        DataType::LargeList(element) if is_number(element) => {
            DataType::new_large_list(DataType::Float64, true)
        }
        DataType::List(element) | DataType::FixedSizeList(element, _) if is_number(element) => {
            DataType::new_list(DataType::Float64, true)
        }
        DataType::Null => DataType::new_list(DataType::Float64, true),
        other => other.clone(),
    }
}

fn is_vector(data_type: &DataType) -> bool {
    matches!(data_type,
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _)
            if matches!(element.data_type(), DataType::Float32 | DataType::Float64))
}

fn is_number(element: &Field) -> bool {
    element.data_type().is_numeric() || element.data_type().is_null()
}

/// Applies `K` to each row.
fn measure<K: Kernel, A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    a: &Rows<'_, A>,
    b: &Rows<'_, B>,
    rows: usize,
) -> Result<Float64Array>
where
    A::Native: Into<f64>,
    B::Native: Into<f64>,
{
    (0..rows)
        .map(|row| match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) if a.len() == b.len() => Ok(K::measure(a, b)),
            (Some(a), Some(b)) => exec_err!("{}", different_lengths::<K>(a.len(), b.len())),
            _ => Ok(None),
        })
        .collect()
}

fn different_lengths<K: Kernel>(a: impl Display, b: impl Display) -> String {
    format!(
        "{}: {} requires both list inputs to have the same length, as vectors of one model have; a has {a} elements and \
         b has {b}",
        K::SIGNATURE,
        K::NAME
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_include_every_element_once() {
        for length in [0, 1, LANES - 1, LANES, LANES + 1, 3 * LANES + 5] {
            let ones = vec![1_f32; length];
            let numbers: Vec<f64> = (0..length).map(|number| number as f64).collect();
            let expected: f64 = numbers.iter().sum();
            assert_eq!(sum_of(&ones, &numbers, |one, number| one * number), expected, "{length}");
        }
    }

    #[test]
    fn float32_sums_have_float64_precision() {
        // In Float32, 2^24 + 1 is 2^24.
        let large = [16_777_216_f32, 1.0, 1.0, 1.0];
        assert_eq!(sum_of(&large, &[1_f32; 4], |a, b| a * b), 16_777_219.0);
    }
}
