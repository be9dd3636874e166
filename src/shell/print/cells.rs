//! Short forms of values that are unreadable in full in a table: images, lists, predictions.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayAccessor, AsArray, LargeStringArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions as ArrowFormatOptions, FormatResult,
};
use datafusion::config::FormatOptions;
use datafusion::error::Result;

use super::excerpt::{excerpt_of, text_of};
use super::lists::{ListCells, formatter};
use super::size;
use crate::images::decode::Header;

/// Maximum length of non-image bytes that are shown in full, in hexadecimal: that of a SHA-256 digest.
const MAX_BYTES: usize = 32;

/// How much of a value a cell shows. Images are always shown by format and size, and structs without NULL fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The first items of lists and the first characters of long texts.
    Short,
    Whole,
}

/// The values of a column as text.
pub(crate) fn column_to_text(
    options: &FormatOptions,
    field: &Field,
    column: &dyn Array,
    detail: Detail,
) -> Result<LargeStringArray> {
    let options = ArrowFormatOptions::try_from(options)?;
    let formatter = match detail {
        Detail::Short => ShortCells::formatter(column, &options, field)?,
        Detail::Whole => formatter(column, &options.with_formatter_factory(Some(&WholeCells)), field)?,
    };
    let texts = (0..column.len()).map(|row| match detail {
        Detail::Short => excerpt_of(&formatter.value(row)),
        Detail::Whole => text_of(&formatter.value(row)),
    });
    Ok(texts.collect::<Result<Vec<_>, ArrowError>>()?.into())
}

/// As [`WholeCells`], but shows long lists and maps by their first items and their length.
#[derive(Debug)]
pub(crate) struct ShortCells;

impl ShortCells {
    /// A formatter for the values of `array`.
    pub(crate) fn formatter<'a>(
        array: &'a dyn Array,
        options: &ArrowFormatOptions<'a>,
        field: &'a Field,
    ) -> Result<ArrayFormatter<'a>, ArrowError> {
        formatter(array, &options.clone().with_formatter_factory(Some(&Self)), field)
    }
}

impl ArrayFormatterFactory for ShortCells {
    fn create_array_formatter<'a>(
        &self,
        array: &'a dyn Array,
        options: &ArrowFormatOptions<'a>,
        field: Option<&'a Field>,
    ) -> Result<Option<ArrayFormatter<'a>>, ArrowError> {
        match ListCells::try_new(array, options)? {
            Some(cells) => Ok(Some(ArrayFormatter::new(Box::new(cells), options.safe()))),
            None => WholeCells.create_array_formatter(array, options, field),
        }
    }
}

/// Shows images by format and size, and structs without NULL fields; also inside structs and lists.
#[derive(Debug)]
struct WholeCells;

impl ArrayFormatterFactory for WholeCells {
    fn create_array_formatter<'a>(
        &self,
        array: &'a dyn Array,
        options: &ArrowFormatOptions<'a>,
        _field: Option<&'a Field>,
    ) -> Result<Option<ArrayFormatter<'a>>, ArrowError> {
        let null = options.null();
        let cells: Box<dyn DisplayIndex + 'a> = match array.data_type() {
            DataType::Binary => Box::new(BinaryCells { values: array.as_binary::<i32>(), null }),
            DataType::LargeBinary => Box::new(BinaryCells { values: array.as_binary::<i64>(), null }),
            DataType::BinaryView => Box::new(BinaryCells { values: array.as_binary_view(), null }),
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
    fn try_new(rows: &'a StructArray, options: &ArrowFormatOptions<'a>) -> Result<Self, ArrowError> {
        let fields = rows
            .fields()
            .iter()
            .zip(rows.columns())
            .map(|(field, column)| Ok((field.name().as_str(), formatter(column, options, field)?)));
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
                write!(out, "{separator}{name}: {}", value.value(row))?;
                separator = ", ";
            }
        }
        Ok(out.write_char('}')?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, BinaryViewArray, Int64Array, ListArray, StringArray};
    use datafusion::arrow::buffer::OffsetBuffer;
    use image::{DynamicImage, ImageFormat};

    use super::*;

    fn cells_in(detail: Detail, array: &dyn Array) -> Result<Vec<String>> {
        let options = FormatOptions { null: "NULL".to_string(), ..FormatOptions::default() };
        let field = Field::new("a", array.data_type().clone(), true);
        let texts = column_to_text(&options, &field, array, detail)?;
        Ok(texts.iter().flatten().map(str::to_owned).collect())
    }

    fn cells(array: &dyn Array) -> Result<Vec<String>> {
        cells_in(Detail::Short, array)
    }

    fn structs(name: &str, values: ArrayRef) -> StructArray {
        StructArray::from(vec![(Arc::new(Field::new(name, values.data_type().clone(), true)), values)])
    }

    #[test]
    fn images_are_shown_by_format_and_size() -> Result<()> {
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
    fn structs_are_shown_without_their_nulls() -> Result<()> {
        let labels = structs("label", Arc::new(StringArray::from(vec![Some("cat"), None])));
        assert_eq!(cells(&labels)?, ["{label: cat}", "{}"]);
        let field = Arc::new(Field::new_list_field(labels.data_type().clone(), true));
        let list = ListArray::new(field, OffsetBuffer::from_lengths([2]), Arc::new(labels), None);
        assert_eq!(cells(&list)?, ["[{label: cat}, {}]"]);
        Ok(())
    }

    #[test]
    fn long_texts_and_lists_are_shown_in_part_or_whole() -> Result<()> {
        let text = "a".repeat(5000);
        let texts = StringArray::from(vec![text.as_str()]);
        assert_eq!(cells(&texts)?, [format!("{}…", &text[..1000])]);
        assert_eq!(cells_in(Detail::Whole, &texts)?, [text.as_str()]);

        let names = structs("name", Arc::new(texts));
        let field = Arc::new(Field::new_list_field(names.data_type().clone(), true));
        let list = ListArray::new(field, OffsetBuffer::from_lengths([1]), Arc::new(names), None);
        assert_eq!(cells(&list)?[0].chars().count(), 1001, "texts inside others count too");

        let numbers = Arc::new(Int64Array::from_iter_values(0..100));
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let list = ListArray::new(field, OffsetBuffer::from_lengths([100]), numbers, None);
        assert_eq!(cells(&list)?, ["[0, 1, 2, 3, … (100 numbers)]"]);
        assert!(cells_in(Detail::Whole, &list)?[0].ends_with(", 98, 99]"));
        Ok(())
    }
}
