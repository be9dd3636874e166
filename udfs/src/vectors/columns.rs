//! List columns as rows of numbers, without copies.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;

/// An argument of a call, kept alive while its rows are read.
#[derive(Debug)]
pub(crate) struct Operand {
    array: ArrayRef,
    is_scalar: bool,
}

impl Operand {
    pub(crate) fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self { array: Arc::clone(array), is_scalar: false },
            ColumnarValue::Scalar(scalar) => Self { array: scalar.to_array()?, is_scalar: true },
        })
    }

    /// Its rows; an error if it holds no vectors, which planning prevents.
    pub(crate) fn vectors(&self) -> Result<Vectors<'_>> {
        let (values, layout) = match self.array.data_type() {
            DataType::List(_) => {
                let list = self.array.as_list::<i32>();
                (list.values(), Layout::Offsets(list.value_offsets()))
            }
            DataType::LargeList(_) => {
                let list = self.array.as_list::<i64>();
                (list.values(), Layout::LargeOffsets(list.value_offsets()))
            }
            DataType::FixedSizeList(_, length) => {
                // Arrow rejects negative lengths.
                let length = usize::try_from(*length).unwrap_or(0);
                (self.array.as_fixed_size_list().values(), Layout::Fixed(length))
            }
            other => return internal_err!("a vector of type {other} passed planning"),
        };
        match values.data_type() {
            DataType::Float32 => Ok(Vectors::F32(self.rows(values, layout))),
            DataType::Float64 => Ok(Vectors::F64(self.rows(values, layout))),
            other => internal_err!("a vector of {other} passed planning"),
        }
    }

    fn rows<'a, T: ArrowPrimitiveType>(&'a self, values: &'a ArrayRef, layout: Layout<'a>) -> Rows<'a, T> {
        Rows { values: values.as_primitive(), layout, nulls: self.array.nulls(), is_scalar: self.is_scalar }
    }
}

/// Rows of Float32 or Float64.
#[derive(Debug)]
pub(crate) enum Vectors<'a> {
    F32(Rows<'a, Float32Type>),
    F64(Rows<'a, Float64Type>),
}

/// Vectors as slices of one array with all elements.
#[derive(Debug)]
pub(crate) struct Rows<'a, T: ArrowPrimitiveType> {
    values: &'a PrimitiveArray<T>,
    layout: Layout<'a>,
    nulls: Option<&'a NullBuffer>,
    /// Whether there is one vector, used for every row.
    is_scalar: bool,
}

impl<'a, T: ArrowPrimitiveType> Rows<'a, T> {
    /// The elements of a row; `None` if the vector is NULL or one of its elements is.
    pub(crate) fn get(&self, row: usize) -> Option<&'a [T::Native]> {
        let row = if self.is_scalar { 0 } else { row };
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let (start, end) = self.layout.range(row);
        let has_null = |nulls: &NullBuffer| nulls.slice(start, end - start).null_count() > 0;
        if self.values.nulls().is_some_and(has_null) {
            return None;
        }
        Some(&self.values.values()[start..end])
    }
}

/// Position of each vector in the elements.
#[derive(Debug)]
enum Layout<'a> {
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
    Fixed(usize),
}

impl Layout<'_> {
    fn range(&self, row: usize) -> (usize, usize) {
        match self {
            Self::Offsets(offsets) => (offsets[row] as usize, offsets[row + 1] as usize),
            Self::LargeOffsets(offsets) => (offsets[row] as usize, offsets[row + 1] as usize),
            Self::Fixed(length) => (row * length, (row + 1) * length),
        }
    }
}
