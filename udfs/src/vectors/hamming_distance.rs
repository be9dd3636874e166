//! `hamming_distance(a, b)`: the number of bits in which two hashes differ.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array, UInt64Array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt32Type, UInt64Type};
use datafusion::common::types::logical_uint64;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignatureClass, Volatility,
};

use crate::signature::{arguments, listed_signature};

const SIGNATURE: &str = "hamming_distance(a, b)";

/// The function `hamming_distance(a, b)` of two UInt64: the number of bits that differ, 0 to 64, as UInt32.
///
/// Other integers are cast to UInt64, so a negative one is an error.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HammingDistance {
    signature: Signature,
}

impl Default for HammingDistance {
    fn default() -> Self {
        let hash = TypeSignatureClass::Native(logical_uint64());
        let example = arguments(&[hash.clone(), hash]);
        Self { signature: listed_signature(Volatility::Immutable, vec![example]) }
    }
}

impl ScalarUDFImpl for HammingDistance {
    fn name(&self) -> &str {
        "hamming_distance"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves the casts to the evaluation, which also handles untyped NULLs.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt32)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [a, b] = args.arg_fields else {
            return plan_err!("{SIGNATURE} takes two arguments, not {}", args.arg_fields.len());
        };
        for (name, field) in [("a", a), ("b", b)] {
            if !is_hash(field.data_type()) {
                return plan_err!(
                    "{SIGNATURE}: {name} must be a hash such as phash(image) gives, a UInt64, not {}",
                    field.data_type()
                );
            }
        }
        Ok(Arc::new(Field::new(self.name(), DataType::UInt32, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = args.args.as_slice() else {
            return internal_err!("{SIGNATURE} without two arguments passed planning");
        };
        let (a, b) = (a.cast_to(&DataType::UInt64, None)?, b.cast_to(&DataType::UInt64, None)?);
        let distances: ArrayRef = match (&a, &b) {
            (ColumnarValue::Scalar(a), ColumnarValue::Scalar(b)) => {
                let distance = hash_of(a)?.zip(hash_of(b)?).map(|(a, b)| differing_bits(a, b));
                return Ok(ColumnarValue::Scalar(ScalarValue::UInt32(distance)));
            }
            (ColumnarValue::Array(column), ColumnarValue::Scalar(other))
            | (ColumnarValue::Scalar(other), ColumnarValue::Array(column)) => {
                let Some(other) = hash_of(other)? else {
                    return Ok(ColumnarValue::Scalar(ScalarValue::UInt32(None)));
                };
                Arc::new(hashes(column)?.unary::<_, UInt32Type>(|hash| differing_bits(hash, other)))
            }
            (ColumnarValue::Array(a), ColumnarValue::Array(b)) => {
                let distances: UInt32Array = compute::binary(hashes(a)?, hashes(b)?, differing_bits)?;
                Arc::new(distances)
            }
        };
        Ok(ColumnarValue::Array(distances))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            let section = DocSection { include: true, label: "Image Functions", description: None };
            Documentation::builder(
                section,
                "The number of bits in which two hashes differ, 0 to 64. Up to about 8 bits of `phash`, two images show the same scene.",
                SIGNATURE,
            )
            .with_argument("a", "A hash, UInt64.")
            .with_argument("b", "Another.")
            .with_sql_example("SELECT a.path, b.path FROM hashes AS a JOIN hashes AS b ON a.path < b.path WHERE hamming_distance(a.hash, b.hash) <= 8;")
            .build()
        });
        Some(&DOCUMENTATION)
    }
}

fn is_hash(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_null()
}

fn differing_bits(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

fn hash_of(scalar: &ScalarValue) -> Result<Option<u64>> {
    match scalar {
        ScalarValue::UInt64(hash) => Ok(*hash),
        other => internal_err!("{SIGNATURE}: a hash of type {} passed planning", other.data_type()),
    }
}

fn hashes(column: &ArrayRef) -> Result<&UInt64Array> {
    match column.as_primitive_opt::<UInt64Type>() {
        Some(hashes) => Ok(hashes),
        None => internal_err!("{SIGNATURE}: hashes of type {} passed planning", column.data_type()),
    }
}
