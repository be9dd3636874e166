//! Lists and maps in cells: long ones by their first items and their length.

use std::fmt::Write;
use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, DisplayIndex, FormatOptions, FormatResult};

/// Maximum length of a list that is shown in full.
const MAX_ITEMS: usize = 8;
/// Items shown of a longer list.
const FIRST_ITEMS: usize = 4;

/// `[1.0, 0.5, 0.2, 0.0, … (1280 numbers)]`, `{a: 1, b: 2, c: 3, d: 4, … (9 entries)}`
pub(super) struct ListCells<'a> {
    lists: &'a dyn Array,
    items: Items<'a>,
    /// Formats the keys of maps.
    keys: Option<ArrayFormatter<'a>>,
    values: ArrayFormatter<'a>,
    /// What the items are called.
    unit: &'static str,
    null: &'a str,
}

/// The range of a row's items in the array of all items.
type Items<'a> = Box<dyn Fn(usize) -> Range<usize> + 'a>;

impl<'a> ListCells<'a> {
    /// `None` if `array` has neither lists nor maps.
    pub(super) fn try_new(
        array: &'a dyn Array,
        options: &FormatOptions<'a>,
    ) -> Result<Option<Self>, ArrowError> {
        let lists = |field: &'a Field, values: &'a ArrayRef, items| {
            let unit = if values.data_type().is_numeric() { "numbers" } else { "items" };
            let values = formatter(values, options, field)?;
            Ok(Some(Self { lists: array, items, keys: None, values, unit, null: options.null() }))
        };
        match array.data_type() {
            DataType::List(field) => {
                let array = array.as_list::<i32>();
                lists(field, array.values(), by_offsets(array.value_offsets()))
            }
            DataType::LargeList(field) => {
                let array = array.as_list::<i64>();
                lists(field, array.values(), by_offsets(array.value_offsets()))
            }
            DataType::ListView(field) => {
                let array = array.as_list_view::<i32>();
                lists(field, array.values(), by_sizes(array.value_offsets(), array.value_sizes()))
            }
            DataType::LargeListView(field) => {
                let array = array.as_list_view::<i64>();
                lists(field, array.values(), by_sizes(array.value_offsets(), array.value_sizes()))
            }
            DataType::FixedSizeList(field, length) => {
                let length = *length as usize;
                let items = Box::new(move |row| row * length..(row + 1) * length);
                lists(field, array.as_fixed_size_list().values(), items)
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let (key, value) = map.entries_fields();
                Ok(Some(Self {
                    lists: array,
                    items: by_offsets(map.value_offsets()),
                    keys: Some(formatter(map.keys(), options, key)?),
                    values: formatter(map.values(), options, value)?,
                    unit: "entries",
                    null: options.null(),
                }))
            }
            _ => Ok(None),
        }
    }
}

/// A formatter for the values of `array`: that of the factory in `options`, or Arrow's.
pub(super) fn formatter<'a>(
    array: &'a dyn Array,
    options: &FormatOptions<'a>,
    field: &'a Field,
) -> Result<ArrayFormatter<'a>, ArrowError> {
    if let Some(factory) = options.formatter_factory()
        && let Some(formatter) = factory.create_array_formatter(array, options, Some(field))?
    {
        return Ok(formatter);
    }
    ArrayFormatter::try_new(array, options)
}

fn by_offsets<'a, O: OffsetSizeTrait>(offsets: &'a [O]) -> Items<'a> {
    Box::new(move |row| offsets[row].as_usize()..offsets[row + 1].as_usize())
}

fn by_sizes<'a, O: OffsetSizeTrait>(offsets: &'a [O], sizes: &'a [O]) -> Items<'a> {
    Box::new(move |row| offsets[row].as_usize()..offsets[row].as_usize() + sizes[row].as_usize())
}

impl DisplayIndex for ListCells<'_> {
    fn write(&self, row: usize, out: &mut dyn Write) -> FormatResult {
        if self.lists.is_null(row) {
            return Ok(out.write_str(self.null)?);
        }
        let items = (self.items)(row);
        let count = items.len();
        let shown = if count > MAX_ITEMS { FIRST_ITEMS } else { count };
        let (open, close) = if self.keys.is_some() { ('{', '}') } else { ('[', ']') };
        out.write_char(open)?;
        for (i, item) in items.take(shown).enumerate() {
            out.write_str(if i == 0 { "" } else { ", " })?;
            if let Some(keys) = &self.keys {
                write!(out, "{}: ", keys.value(item))?;
            }
            write!(out, "{}", self.values.value(item))?;
        }
        if shown < count {
            write!(out, ", … ({count} {})", self.unit)?;
        }
        Ok(out.write_char(close)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        FixedSizeListArray, Int32Builder, LargeListArray, ListArray, ListBuilder, MapBuilder, StringBuilder,
        StructArray,
    };
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{Float32Type, Int64Type};

    use super::*;

    fn cells(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
        let options = FormatOptions::new().with_null("NULL");
        let cells = ListCells::try_new(array, &options)?.unwrap();
        let formatter = ArrayFormatter::new(Box::new(cells), false);
        (0..array.len()).map(|row| formatter.value(row).try_to_string()).collect()
    }

    #[test]
    fn embeddings_are_shown_by_their_first_numbers_and_length() -> Result<(), ArrowError> {
        let vectors = |length| {
            let numbers = (0..length).map(|i| Some(i as f32 / 2.0)).collect::<Vec<_>>();
            FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some(numbers), None], length)
        };
        assert_eq!(cells(&vectors(3))?, ["[0.0, 0.5, 1.0]", "NULL"]);
        assert_eq!(cells(&vectors(1280))?, ["[0.0, 0.5, 1.0, 1.5, … (1280 numbers)]", "NULL"]);
        assert_eq!(cells(&vectors(9).slice(1, 1))?, ["NULL"], "the second of two rows is found");
        Ok(())
    }

    #[test]
    fn all_kinds_of_lists_are_shortened() -> Result<(), ArrowError> {
        let numbers = |count: i64| Some((0..count).map(Some).collect::<Vec<_>>());
        let rows = [numbers(8), None, numbers(0), numbers(9), Some(vec![None, Some(1)])];
        let shown = ["[0, 1, 2, 3, 4, 5, 6, 7]", "NULL", "[]", "[0, 1, 2, 3, … (9 numbers)]", "[NULL, 1]"];
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(rows.clone());
        assert_eq!(cells(&lists)?, shown);
        assert_eq!(cells(&lists.slice(2, 3))?, shown[2..]);
        assert_eq!(cells(&LargeListArray::from_iter_primitive::<Int64Type, _, _>(rows))?, shown);
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        assert_eq!(cells(&cast(&lists, &DataType::ListView(field))?)?, shown);
        Ok(())
    }

    #[test]
    fn lists_of_others_and_maps_count_their_items() -> Result<(), ArrowError> {
        let mut lists = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
        (0..9).for_each(|n| lists.values().append_value([Some(n)]));
        lists.append(true);
        assert_eq!(cells(&lists.finish())?, ["[[0], [1], [2], [3], … (9 items)]"]);

        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        for count in [2, 9] {
            for n in 0..count {
                maps.keys().append_value(format!("k{n}"));
                maps.values().append_option((n > 0).then_some(n));
            }
            maps.append(true)?;
        }
        maps.append(false)?;
        assert_eq!(
            cells(&maps.finish())?,
            ["{k0: NULL, k1: 1}", "{k0: NULL, k1: 1, k2: 2, k3: 3, … (9 entries)}", "NULL"]
        );
        Ok(())
    }

    #[test]
    fn other_arrays_are_left_to_others() -> Result<(), ArrowError> {
        let structs = StructArray::new_empty_fields(1, None);
        assert!(ListCells::try_new(&structs, &FormatOptions::new())?.is_none());
        Ok(())
    }
}
