//! Short forms of values that are unreadable in full in a table: images, embeddings, predictions.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayAccessor, AsArray, FixedSizeListArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult,
};

use super::size;
use crate::images::decode::Header;

/// Maximum length of non-image bytes that are shown in full, in hexadecimal: that of a SHA-256 digest.
const MAX_BYTES: usize = 32;
/// Maximum length of a vector that is shown in full.
const MAX_NUMBERS: usize = 8;
/// Numbers shown of a longer vector.
const FIRST_NUMBERS: usize = 4;

/// Shows images by format and size, long vectors by their first numbers, and structs without NULL fields; also inside
/// structs and lists.
#[derive(Debug)]
pub(crate) struct ShortCells;

impl ShortCells {
    /// A formatter for the values of `array`.
    pub(crate) fn formatter<'a>(
        array: &'a dyn Array,
        options: &FormatOptions<'a>,
        field: &'a Field,
    ) -> Result<ArrayFormatter<'a>, ArrowError> {
        let options = options.clone().with_formatter_factory(Some(&Self));
        match Self.create_array_formatter(array, &options, Some(field))? {
            Some(formatter) => Ok(formatter),
            None => ArrayFormatter::try_new(array, &options),
        }
    }
}

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
            DataType::Struct(_) => Box::new(StructCells::try_new(array.as_struct(), options)?),
            _ => return Ok(None),
        };
        Ok(Some(ArrayFormatter::new(cells, options.safe())))
    }
}

/// `<jpeg 640×480, 83 kB>`, from the header alone.
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
        if let Some(Header { width, height, format }) = Header::of(bytes) {
            write!(out, "<{} {width}×{height}, {}>", format.name(), size::describe(bytes.len()))?;
        } else if bytes.len() > MAX_BYTES {
            write!(out, "<{}>", size::describe(bytes.len()))?;
        } else {
            bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// `{label: lion, confidence: 0.9}`: a prediction shows `error` only if there is one.
struct StructCells<'a> {
    rows: &'a StructArray,
    fields: Vec<(&'a str, ArrayFormatter<'a>)>,
    null: &'a str,
}

impl<'a> StructCells<'a> {
    fn try_new(rows: &'a StructArray, options: &FormatOptions<'a>) -> Result<Self, ArrowError> {
        let fields = rows.fields().iter().zip(rows.columns()).map(|(field, column)| {
            Ok((field.name().as_str(), ShortCells::formatter(column, options, field)?))
        });
        Ok(Self { rows, fields: fields.collect::<Result<_, ArrowError>>()?, null: options.null() })
    }
}

impl DisplayIndex for StructCells<'_> {
    fn write(&self, row: usize, out: &mut dyn Write) -> FormatResult {
        if self.rows.is_null(row) {
            return Ok(out.write_str(self.null)?);
        }
        out.write_char('{')?;
        let mut separator = "";
        for ((name, value), column) in self.fields.iter().zip(self.rows.columns()) {
            if column.is_valid(row) {
                write!(out, "{separator}{name}: {}", value.value(row).try_to_string()?)?;
                separator = ", ";
            }
        }
        Ok(out.write_char('}')?)
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
    use std::io::Cursor;
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, BinaryViewArray, ListArray, StringArray};
    use datafusion::arrow::buffer::OffsetBuffer;
    use image::{DynamicImage, ImageFormat};

    use super::*;

    fn cells(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
        let options = FormatOptions::new().with_null("NULL");
        let field = Field::new("a", array.data_type().clone(), true);
        let formatter = ShortCells::formatter(array, &options, &field)?;
        (0..array.len()).map(|row| formatter.value(row).try_to_string()).collect()
    }

    fn structs(name: &str, values: ArrayRef) -> StructArray {
        StructArray::from(vec![(Arc::new(Field::new(name, values.data_type().clone(), true)), values)])
    }

    #[test]
    fn images_are_shown_by_format_and_size() -> Result<(), ArrowError> {
        let mut png = Cursor::new(Vec::new());
        DynamicImage::new_luma8(40, 30).write_to(&mut png, ImageFormat::Png).unwrap();
        let png = png.into_inner();
        let images =
            BinaryViewArray::from(vec![Some(png.as_slice()), None, Some(&[7; 1234]), Some(&[1, 171])]);
        let shown = format!("<png 40×30, {} B>", png.len());
        assert_eq!(cells(&images)?, [shown.as_str(), "NULL", "<1 kB>", "01ab"]);
        let images = structs("bytes", Arc::new(images.slice(0, 1)));
        assert_eq!(cells(&images)?, [format!("{{bytes: {shown}}}")]);
        Ok(())
    }

    #[test]
    fn structs_are_shown_without_their_nulls() -> Result<(), ArrowError> {
        let labels = structs("label", Arc::new(StringArray::from(vec![Some("cat"), None])));
        assert_eq!(cells(&labels)?, ["{label: cat}", "{}"]);
        let field = Arc::new(Field::new_list_field(labels.data_type().clone(), true));
        let list = ListArray::new(field, OffsetBuffer::from_lengths([2]), Arc::new(labels), None);
        assert_eq!(cells(&list)?, ["[{label: cat}, {}]"]);
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
