//! The column of one of `predict`'s outputs: each row's numbers, in lists as deep as the output has dimensions.
//!
//! ```text
//!  rows          [2, 3] ─┐                       ┌─ FixedSizeList(2)  row │ row
//!  of numbers    [2, 3] ─┴─ concat ─► numbers ◄──┴─ FixedSizeList(3)  list │ list │ list │ list
//! ```
//!
//! The lists of fixed length are only types around the numbers, which are copied once, or not at all if there is one row.

use std::iter::repeat_n;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, FixedSizeListArray, ListArray, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::prediction::RowOutput;

/// One level of nested lists, and its fixed length if it has one.
struct Level<'a> {
    item: &'a FieldRef,
    length: Option<i32>,
}

/// The column of type `data_type`, with NULL for a row without a value.
///
/// # Errors
/// More numbers than offsets of lists can count; numbers of another type or shape, which is a bug.
pub(crate) fn output_column(data_type: &DataType, rows: &[Option<&RowOutput>]) -> Result<ArrayRef> {
    let (levels, number) = levels(data_type);
    let missing_shape: Vec<usize> =
        levels.iter().map(|level| level.length.map_or(0, |length| length as usize)).collect();
    let missing = new_null_array(number, missing_shape.iter().product());
    let parts: Vec<&dyn Array> =
        rows.iter().map(|row| row.map_or(missing.as_ref(), |row| row.numbers.as_ref())).collect();
    let total: usize = parts.iter().map(|part| part.len()).sum();
    if i32::try_from(total).is_err() {
        return exec_err!("{total} numbers of an output are too many for a column of {} rows", rows.len());
    }
    let numbers = if parts.is_empty() { missing.slice(0, 0) } else { concat(&parts)? };
    let shapes: Vec<&[usize]> =
        rows.iter().map(|row| row.map_or(missing_shape.as_slice(), |row| row.shape.as_slice())).collect();
    let mut values = numbers;
    for (depth, Level { item, length }) in levels.iter().enumerate().rev() {
        // Lists within a NULL row are not NULL, since no one sees them.
        let nulls: Option<NullBuffer> = (depth == 0).then(|| rows.iter().map(Option::is_some).collect());
        values = match length {
            Some(length) => Arc::new(FixedSizeListArray::try_new(Arc::clone(item), *length, values, nulls)?),
            None => {
                let lengths =
                    shapes.iter().flat_map(|shape| repeat_n(shape[depth], shape[..depth].iter().product()));
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?)
            }
        };
    }
    Ok(values)
}

/// The levels of nested lists, outermost first, and the type of their numbers.
fn levels(data_type: &DataType) -> (Vec<Level<'_>>, &DataType) {
    let (mut levels, mut inner) = (vec![], data_type);
    loop {
        let level = match inner {
            DataType::FixedSizeList(item, length) => Level { item, length: Some(*length) },
            DataType::List(item) => Level { item, length: None },
            number => return (levels, number),
        };
        inner = level.item.data_type();
        levels.push(level);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Float32Array};
    use datafusion::arrow::datatypes::{Field, Float32Type};
    use datafusion::arrow::util::display::array_value_to_string;

    use super::*;

    fn row(shape: &[usize]) -> RowOutput {
        let numbers = (0..shape.iter().product()).map(|number| number as f32);
        RowOutput { numbers: Arc::new(Float32Array::from_iter_values(numbers)), shape: shape.to_vec() }
    }

    /// Nested lists of these lengths; 0 stands for any.
    fn nested(lengths: &[i32]) -> DataType {
        lengths.iter().rev().fold(DataType::Float32, |inner, length| {
            let item = Arc::new(Field::new_list_field(inner, true));
            if *length == 0 { DataType::List(item) } else { DataType::FixedSizeList(item, *length) }
        })
    }

    fn shown(lengths: &[i32], rows: &[Option<&[usize]>]) -> Vec<String> {
        let rows: Vec<_> = rows.iter().map(|shape| shape.map(row)).collect();
        let rows: Vec<_> = rows.iter().map(Option::as_ref).collect();
        let column = output_column(&nested(lengths), &rows).unwrap();
        assert_eq!(column.data_type(), &nested(lengths));
        (0..column.len()).map(|row| array_value_to_string(&column, row).unwrap()).collect()
    }

    #[test]
    fn lists_are_as_deep_as_the_shape() {
        assert_eq!(shown(&[], &[Some(&[]), None]), ["0.0", ""]);
        let fixed: &[usize] = &[2, 3];
        assert_eq!(
            shown(&[2, 3], &[Some(fixed), None, Some(fixed)]),
            ["[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]", "", "[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]"]
        );
        assert_eq!(
            shown(&[0, 2], &[Some(&[1, 2]), None, Some(&[0, 2]), Some(&[2, 2])]),
            ["[[0.0, 1.0]]", "", "[]", "[[0.0, 1.0], [2.0, 3.0]]"]
        );
        assert_eq!(
            shown(&[2, 0], &[Some(&[2, 1]), None, Some(&[2, 0]), Some(&[2, 2])]),
            ["[[0.0], [1.0]]", "", "[[], []]", "[[0.0, 1.0], [2.0, 3.0]]"]
        );
        assert!(shown(&[2, 0, 3], &[]).is_empty());
    }

    #[test]
    fn numbers_of_one_row_are_not_copied() {
        let row = row(&[2, 3]);
        let column = output_column(&nested(&[2, 3]), &[Some(&row)]).unwrap();
        let numbers = column.as_fixed_size_list().values().as_fixed_size_list().values();
        let address = |array: &ArrayRef| array.as_primitive::<Float32Type>().values().as_ptr();
        assert_eq!(address(numbers), address(&row.numbers));
    }
}
