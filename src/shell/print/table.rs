//! The table format: the first rows of a result in full width, and a count of the others.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, LargeStringArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::FormatOptions as ArrowFormatOptions;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::config::FormatOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::cells::ShortCells;
use super::encoder::Encoder;
use super::max_rows::MaxRows;

/// Keeps the text of the rows to show, because the column widths depend on all of them, and nothing of the others.
pub(crate) struct TableEncoder {
    /// Text columns with the result's names.
    schema: SchemaRef,
    options: FormatOptions,
    shown: Vec<RecordBatch>,
    rows_to_show: usize,
    rows_left_out: usize,
    reservation: MemoryReservation,
}

impl TableEncoder {
    pub(crate) fn new(max_rows: MaxRows, schema: &SchemaRef, task: &TaskContext) -> Self {
        let options = task.session_config().options().format.clone();
        let heading = |field: &Field| {
            if options.types_info {
                format!("{}\n{}", field.name(), field.data_type())
            } else {
                field.name().clone()
            }
        };
        let columns =
            schema.fields().iter().map(|field| Field::new(heading(field), DataType::LargeUtf8, true));
        Self {
            schema: Arc::new(Schema::new(columns.collect::<Vec<_>>())),
            options,
            shown: Vec::new(),
            rows_to_show: max_rows.count(),
            rows_left_out: 0,
            reservation: MemoryConsumer::new("table to print").register(task.memory_pool()),
        }
    }

    fn to_text(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let texts = columns
            .map(|(field, column)| column_to_text(&self.options, field, column))
            .collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), texts)?)
    }
}

/// The note below a result that is not shown completely.
pub(crate) fn left_out(rows: usize) -> String {
    format!("… {rows} more rows, --maxrows shows more\n")
}

/// The values of a column as text, as shown in a table.
pub(crate) fn column_to_text(options: &FormatOptions, field: &Field, column: &dyn Array) -> Result<ArrayRef> {
    let options = ArrowFormatOptions::try_from(options)?;
    let formatter = ShortCells::formatter(column, &options, field)?;
    let texts = (0..column.len()).map(|row| formatter.value(row).try_to_string());
    Ok(Arc::new(LargeStringArray::from(texts.collect::<Result<Vec<_>, ArrowError>>()?)))
}

impl Encoder for TableEncoder {
    fn encode(&mut self, batch: &RecordBatch, _: &mut Vec<u8>) -> Result<()> {
        let rows = batch.num_rows().min(self.rows_to_show);
        self.rows_to_show -= rows;
        self.rows_left_out += batch.num_rows() - rows;
        if rows > 0 {
            let texts = self.to_text(&batch.slice(0, rows))?;
            self.reservation.try_grow(texts.get_array_memory_size())?;
            self.shown.push(texts);
        }
        Ok(())
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        if self.rows_left_out == 0 || !self.shown.is_empty() {
            let table = pretty_format_batches_with_schema(Arc::clone(&self.schema), &self.shown)?;
            text.extend_from_slice(format!("{table}\n").as_bytes());
        }
        if self.rows_left_out > 0 {
            text.extend_from_slice(left_out(self.rows_left_out).as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StructArray};

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
        encode(TableEncoder::new(max_rows, &schema, &TaskContext::default()), batches)
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
