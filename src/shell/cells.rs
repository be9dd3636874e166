//! How values look in a table that would be unreadable in full: images and embeddings.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayAccessor, AsArray, FixedSizeListArray};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult,
};

/// Bytes that are shown in full: as many as a SHA-256 digest has.
const MAX_BYTES: usize = 32;
/// Bytes shown of a longer value: enough to tell file formats apart.
const FIRST_BYTES: usize = 8;
/// Numbers of a vector that are shown in full.
const MAX_NUMBERS: usize = 8;
/// Numbers shown of a longer vector.
const FIRST_NUMBERS: usize = 4;

/// Shows long binary values and vectors by their beginning and their length, also inside structs and lists.
#[derive(Debug)]
pub(super) struct ShortCells;

impl ArrayFormatterFactory for ShortCells {
    fn create_array_formatter<'a>(
        &self,
        array: &'a dyn Array,
        options: &FormatOptions<'a>,
        _field: Option<&'a Field>,
    ) -> Result<Option<ArrayFormatter<'a>>, ArrowError> {
        let null = options.null();
        let cells: Box<dyn DisplayIndex + 'a> = match array.data_type() {
            DataType::Binary => Box::new(BinaryCells { values: array.as_binary::<i32>(), null }),
            DataType::LargeBinary => Box::new(BinaryCells { values: array.as_binary::<i64>(), null }),
            DataType::BinaryView => Box::new(BinaryCells { values: array.as_binary_view(), null }),
            DataType::FixedSizeList(item, _) if item.data_type() == &DataType::Float32 => {
                Box::new(VectorCells { vectors: array.as_fixed_size_list(), null })
            }
            _ => return Ok(None),
        };
        Ok(Some(ArrayFormatter::new(cells, options.safe())))
    }
}

struct BinaryCells<'a, A> {
    values: A,
    null: &'a str,
}

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> DisplayIndex for BinaryCells<'a, A> {
    fn write(&self, row: usize, out: &mut dyn Write) -> FormatResult {
        if self.values.is_null(row) {
            return Ok(out.write_str(self.null)?);
        }
        let bytes = self.values.value(row);
        let is_long = bytes.len() > MAX_BYTES;
        for byte in if is_long { &bytes[..FIRST_BYTES] } else { bytes } {
            write!(out, "{byte:02x}")?;
        }
        if is_long {
            write!(out, "… ({} bytes)", bytes.len())?;
        }
        Ok(())
    }
}

struct VectorCells<'a> {
    vectors: &'a FixedSizeListArray,
    null: &'a str,
}

impl DisplayIndex for VectorCells<'_> {
    fn write(&self, row: usize, out: &mut dyn Write) -> FormatResult {
        if self.vectors.is_null(row) {
            return Ok(out.write_str(self.null)?);
        }
        let vector = self.vectors.value(row);
        let numbers = vector.as_primitive::<Float32Type>();
        let is_long = numbers.len() > MAX_NUMBERS;
        let shown = if is_long { FIRST_NUMBERS } else { numbers.len() };
        out.write_char('[')?;
        for (i, number) in numbers.iter().take(shown).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            match number {
                Some(number) => write!(out, "{separator}{number:?}")?,
                None => write!(out, "{separator}{}", self.null)?,
            }
        }
        if is_long {
            write!(out, ", … ({} numbers)", numbers.len())?;
        }
        Ok(out.write_char(']')?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, BinaryViewArray, StructArray};

    use super::*;

    fn cells(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
        let options = FormatOptions::new().with_null("NULL").with_formatter_factory(Some(&ShortCells));
        let formatter = match ShortCells.create_array_formatter(array, &options, None)? {
            Some(formatter) => formatter,
            None => ArrayFormatter::try_new(array, &options)?,
        };
        (0..array.len()).map(|row| formatter.value(row).try_to_string()).collect()
    }

    #[test]
    fn images_are_shown_by_their_first_bytes_and_length() -> Result<(), ArrowError> {
        let jpeg = [[0xff, 0xd8, 0xff, 0xe0].as_slice(), &[7; 60]].concat();
        let images = BinaryViewArray::from(vec![Some(jpeg.as_slice()), None, Some(&[1, 2, 0xab]), Some(&[])]);
        assert_eq!(cells(&images)?, ["ffd8ffe007070707… (64 bytes)", "NULL", "0102ab", ""]);
        let field = Arc::new(Field::new("bytes", DataType::BinaryView, true));
        let images = StructArray::from(vec![(field, Arc::new(images.slice(0, 1)) as ArrayRef)]);
        assert_eq!(cells(&images)?, ["{bytes: ffd8ffe007070707… (64 bytes)}"]);
        Ok(())
    }

    #[test]
    fn embeddings_are_shown_by_their_first_numbers_and_length() -> Result<(), ArrowError> {
        let vectors = |length| {
            let numbers = (0..length).map(|i| Some(i as f32 / 2.0)).collect::<Vec<_>>();
            FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some(numbers), None], length)
        };
        assert_eq!(cells(&vectors(3))?, ["[0.0, 0.5, 1.0]", "NULL"]);
        assert_eq!(cells(&vectors(1280))?, ["[0.0, 0.5, 1.0, 1.5, … (1280 numbers)]", "NULL"]);
        Ok(())
    }
}
