//! The table formats: the first rows of a result, and a count of the others.

use datafusion::arrow::array::{Array, LargeStringArray, RecordBatch};
use datafusion::arrow::datatypes::Schema;
use datafusion::config::FormatOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::cells::{Detail, column_to_text};
use super::encoder::Encoder;
use super::layout::{self, Column, Look};
use super::max_rows::MaxRows;

/// Keeps the text of the rows to show, because the column widths depend on all of them, and nothing of the others.
pub(super) struct TableEncoder {
    look: Look,
    /// Width of the terminal.
    width: Option<usize>,
    detail: Detail,
    options: FormatOptions,
    columns: Vec<Column>,
    /// The text of each column, batch by batch.
    shown: Vec<Vec<LargeStringArray>>,
    rows_to_show: usize,
    rows_left_out: usize,
    reservation: MemoryReservation,
}

impl TableEncoder {
    pub(super) fn new(
        look: Look,
        width: Option<usize>,
        detail: Detail,
        max_rows: MaxRows,
        schema: &Schema,
        task: &TaskContext,
    ) -> Self {
        let options = task.session_config().options().format.clone();
        let columns = schema.fields().iter().map(|field| Column::new(field, options.types_info));
        Self {
            look,
            width,
            detail,
            columns: columns.collect(),
            options,
            shown: Vec::new(),
            rows_to_show: max_rows.count(),
            rows_left_out: 0,
            reservation: MemoryConsumer::new("table to print").register(task.memory_pool()),
        }
    }

    /// Whether the rows do not fit into the terminal.
    pub(super) fn is_too_wide(&self) -> bool {
        !self.shown.is_empty() && layout::is_too_wide(&self.columns, self.width)
    }

    fn shown_texts(&mut self, batch: &RecordBatch) -> Result<Vec<LargeStringArray>> {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let texts = fields.zip(&mut self.columns).map(|((field, values), column)| {
            let texts = column_to_text(&self.options, field, values, self.detail)?;
            texts.iter().flatten().for_each(|text| column.widen(text));
            Ok(texts)
        });
        texts.collect()
    }

    fn rows(&self) -> impl Iterator<Item = Vec<&str>> {
        self.shown.iter().flat_map(|columns| {
            let rows = columns.first().map_or(0, Array::len);
            (0..rows).map(move |row| columns.iter().map(|texts| texts.value(row)).collect())
        })
    }
}

/// The note below a result that is not shown completely.
pub(super) fn left_out(rows: usize) -> String {
    format!("… {rows} more rows, --maxrows shows more\n")
}

impl Encoder for TableEncoder {
    fn encode(&mut self, batch: &RecordBatch, _: &mut Vec<u8>) -> Result<()> {
        let rows = batch.num_rows().min(self.rows_to_show);
        self.rows_to_show -= rows;
        self.rows_left_out += batch.num_rows() - rows;
        if rows > 0 {
            let texts = self.shown_texts(&batch.slice(0, rows))?;
            self.reservation.try_grow(texts.iter().map(Array::get_array_memory_size).sum())?;
            self.shown.push(texts);
        }
        Ok(())
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        if self.rows_left_out == 0 || !self.shown.is_empty() {
            let table = layout::draw(self.look, &self.columns, self.rows(), self.width, self.detail);
            text.extend_from_slice(table.as_bytes());
        }
        if self.rows_left_out > 0 {
            text.extend_from_slice(left_out(self.rows_left_out).as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StructArray};
    use datafusion::arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::shell::print::encoder::tests::{encode, sample};

    fn numbers(count: i64) -> RecordBatch {
        let numbers = Arc::new(Int64Array::from_iter_values(0..count)) as ArrayRef;
        RecordBatch::from(StructArray::from(vec![(
            Arc::new(Field::new("n", DataType::Int64, true)),
            numbers,
        )]))
    }

    fn table(max_rows: MaxRows, batches: &[RecordBatch]) -> Result<String> {
        let schema = batches.first().map_or_else(|| sample().schema(), RecordBatch::schema);
        encode(encoder(Look::Ascii, max_rows, &schema), batches)
    }

    fn encoder(look: Look, max_rows: MaxRows, schema: &Schema) -> TableEncoder {
        TableEncoder::new(look, None, Detail::Short, max_rows, schema, &TaskContext::default())
    }

    #[test]
    fn the_table_with_lines_has_numbers_at_the_right() -> Result<()> {
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(5), Some(1000), None])) as ArrayRef),
            ("name", Arc::new(LargeStringArray::from(vec!["a", "b", "c"]))),
        ])?;
        insta::assert_snapshot!(encode(encoder(Look::Lines, MaxRows::Unlimited, &batch.schema()), &[batch])?, @r"
        ┌──────┬──────┐
        │    n │ name │
        ├──────┼──────┤
        │    5 │ a    │
        │ 1000 │ b    │
        │      │ c    │
        └──────┴──────┘
        ");
        Ok(())
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_value() -> Result<()> {
        insta::assert_snapshot!(table(MaxRows::Limited(40), &[sample()])?, @r"
        +------+--------------+
        | name | tags         |
        +------+--------------+
        | a,b  | {label: cat} |
        |      | {label: dog} |
        +------+--------------+
        ");
        Ok(())
    }

    #[test]
    fn rows_beyond_the_limit_are_counted_over_all_batches() -> Result<()> {
        insta::assert_snapshot!(table(MaxRows::Limited(3), &[numbers(2), numbers(5), numbers(100)])?, @r"
        +---+
        | n |
        +---+
        | 0 |
        | 1 |
        | 0 |
        +---+
        … 104 more rows, --maxrows shows more
        ");
        Ok(())
    }

    #[test]
    fn all_rows_are_shown_up_to_the_limit() -> Result<()> {
        let text = table(MaxRows::Limited(3), &[numbers(3)])?;
        assert!(!text.contains("more rows"), "{text}");
        let text = table(MaxRows::Unlimited, &[numbers(1000)])?;
        assert!(text.contains("| 999 |") && !text.contains("more rows"), "{text}");
        Ok(())
    }

    #[test]
    fn an_empty_result_and_a_row_limit_of_0_differ() -> Result<()> {
        insta::assert_snapshot!(table(MaxRows::Limited(40), &[])?, @r"
        +------+------+
        | name | tags |
        +------+------+
        +------+------+
        ");
        assert_eq!(table(MaxRows::Limited(0), &[numbers(7)])?, "… 7 more rows, --maxrows shows more\n");
        Ok(())
    }
}
