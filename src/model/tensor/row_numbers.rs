//! Converts the rows of a morsel to the tensor of an input that takes numbers.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, GenericListArray, OffsetSizeTrait};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{cast, concat, interleave, nullif};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use itertools::Itertools;

use crate::model::input::{NumbersSpec, item_type};

/// Maximum count of numbers in the tensor of one run: 512 MiB of Float64.
const MAX_NUMBERS: usize = 1 << 26;

/// The rows of a morsel for one input.
#[derive(Debug)]
pub(crate) struct RowNumbers<'a> {
    input: &'a NumbersSpec,
    /// Numbers of all rows, concatenated.
    values: ArrayRef,
    /// Start of each row in `values`, followed by the end of the last row.
    offsets: Vec<usize>,
    /// Rows that are NULL.
    nulls: Option<NullBuffer>,
}

/// Numbers of a row or of a batch of rows, with their shape.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) values: ArrayRef,
    pub(crate) shape: Vec<usize>,
}

impl<'a> RowNumbers<'a> {
    /// Reads the columns of `input`: one list column, or number columns of `rows` rows.
    ///
    /// # Errors
    /// Columns that [`NumbersSpec::columns`] rejects, which is a bug.
    pub(crate) fn try_new(input: &'a NumbersSpec, columns: &[ArrayRef], rows: usize) -> Result<Self> {
        match columns {
            [list] if list.data_type().is_list() => Self::from_list(input, list),
            columns => Self::from_columns(input, columns, rows),
        }
    }

    fn from_list(input: &'a NumbersSpec, list: &ArrayRef) -> Result<Self> {
        let (values, offsets) = match list.data_type() {
            DataType::List(_) => own_values(list.as_list::<i32>()),
            DataType::LargeList(_) => own_values(list.as_list::<i64>()),
            // List views and fixed-size lists: the cast copies only the values of their rows.
            other => {
                let list = cast(list, &DataType::new_large_list(item_type(other).clone(), true))?;
                own_values(list.as_list::<i64>())
            }
        };
        Ok(Self {
            input,
            values: cast_within(&values, &input.element)?,
            offsets,
            nulls: list.nulls().cloned(),
        })
    }

    fn from_columns(input: &'a NumbersSpec, columns: &[ArrayRef], rows: usize) -> Result<Self> {
        let nulls = columns
            .iter()
            .fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()));
        let cast = columns.iter().map(|column| cast_within(column, &input.element));
        let columns = cast.collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        let positions = (0..rows).cartesian_product(0..columns.len());
        let positions: Vec<_> = positions.map(|(row, column)| (column, row)).collect();
        let offsets = (0..=rows).map(|row| row * columns.len()).collect();
        Ok(Self { input, values: interleave(&columns, &positions)?, offsets, nulls })
    }

    /// The numbers of `row`, or `None` if the row is NULL.
    ///
    /// # Errors
    /// A reason: a list of another length than the input's, NULL in a list, or a number out of the input's range.
    pub(crate) fn row(&self, row: usize) -> Result<Option<Numbers>, String> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        let values = self.values.slice(self.offsets[row], self.offsets[row + 1] - self.offsets[row]);
        if values.null_count() > 0 {
            let port = &self.input.port;
            return Err(format!(
                "input {port} has no place for NULL in a list, or for numbers out of its range"
            ));
        }
        Ok(Some(Numbers { shape: self.input.row_shape(values.len())?, values }))
    }
}

/// The values of a list array's own rows, without those outside its slice, and the offsets rebased to them.
fn own_values<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> (ArrayRef, Vec<usize>) {
    let offsets = list.value_offsets();
    let (start, end) = (offsets[0].as_usize(), offsets[list.len()].as_usize());
    let rebased = offsets.iter().map(|offset| offset.as_usize() - start).collect();
    (list.values().slice(start, end - start), rebased)
}

/// Casts numbers to another type; those out of its range become NULL.
fn cast_within(numbers: &ArrayRef, element: &DataType) -> Result<ArrayRef> {
    let cast_numbers = cast(numbers, element)?;
    if !matches!(element, DataType::Float16 | DataType::Float32) {
        return Ok(cast_numbers);
    }
    // Casts to floats turn numbers out of range into infinities instead of NULL.
    let after = cast(&cast_numbers, &DataType::Float64)?;
    let after = after.as_primitive::<Float64Type>();
    if !after.values().iter().any(|number| number.is_infinite()) {
        return Ok(cast_numbers);
    }
    let before = cast(numbers, &DataType::Float64)?;
    let both = before.as_primitive::<Float64Type>().iter().zip(after);
    let overflowed: BooleanArray = both
        .map(|(before, after)| {
            Some(before.is_some_and(f64::is_finite) && after.is_some_and(f64::is_infinite))
        })
        .collect();
    Ok(nullif(&cast_numbers, &overflowed)?)
}

impl Numbers {
    /// Concatenates rows of the same shape, padded to `batch` rows with copies of the last.
    pub(crate) fn batched(rows: &[Self], batch: usize) -> Result<Self, String> {
        let Some(last) = rows.last() else { return Err("a batch without rows".to_owned()) };
        if last.values.len().saturating_mul(batch) > MAX_NUMBERS {
            return Err(format!("a batch of {batch} rows of {} numbers is too large", last.values.len()));
        }
        let padding = std::iter::repeat_n(last, batch.saturating_sub(rows.len()));
        let arrays: Vec<&dyn Array> = rows.iter().chain(padding).map(|row| row.values.as_ref()).collect();
        let values = concat(&arrays).map_err(|error| error.to_string())?;
        let shape = [batch].into_iter().chain(last.shape.iter().copied()).collect();
        Ok(Self { values, shape })
    }
}
