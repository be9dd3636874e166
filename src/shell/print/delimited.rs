//! Comma- and tab-separated values, with a header line.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;

use super::encoder::Encoder;
use crate::write::nested_as_json;

/// One line per row. Structs, lists and maps, which these formats do not support, are written as JSON.
pub(crate) struct DelimitedEncoder {
    delimiter: u8,
    null: String,
    schema: SchemaRef,
    has_header: bool,
}

impl DelimitedEncoder {
    /// `null` is written for NULL.
    pub(crate) fn new(delimiter: u8, null: &str, schema: SchemaRef) -> Self {
        Self { delimiter, null: null.to_owned(), schema, has_header: false }
    }

    fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()> {
        let mut writer = WriterBuilder::new()
            .with_header(!self.has_header)
            .with_delimiter(self.delimiter)
            .with_null(self.null.clone())
            .build(text);
        writer.write(&nested_as_json(batch)?)?;
        self.has_header = true;
        Ok(())
    }
}

impl Encoder for DelimitedEncoder {
    fn encode(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()> {
        self.write(batch, text)
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        if self.has_header {
            return Ok(());
        }
        let empty = RecordBatch::new_empty(Arc::clone(&self.schema));
        self.write(&empty, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::print::encoder::tests::{encode, sample};

    #[test]
    fn csv_quotes_and_writes_structs_as_json() -> Result<()> {
        let batch = sample();
        let text =
            encode(DelimitedEncoder::new(b',', "", batch.schema()), &[batch.slice(0, 1), batch.slice(1, 1)])?;
        assert_eq!(
            text,
            "name,tags\n\"a,b\",\"{\"\"label\"\":\"\"cat\"\"}\"\n,\"{\"\"label\"\":\"\"dog\"\"}\"\n"
        );
        Ok(())
    }

    #[test]
    fn tsv_is_delimited_by_tabs_and_null_can_have_a_text() -> Result<()> {
        let batch = sample().project(&[0])?;
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::clone(batch.column(0))),
            ("b", Arc::clone(batch.column(0))),
        ])?;
        let encoder = DelimitedEncoder::new(b'\t', "NULL", batch.schema());
        assert_eq!(encode(encoder, &[batch])?, "a\tb\na,b\ta,b\nNULL\tNULL\n");
        Ok(())
    }

    #[test]
    fn a_result_without_rows_still_has_its_header() -> Result<()> {
        assert_eq!(encode(DelimitedEncoder::new(b',', "", sample().schema()), &[])?, "name,tags\n");
        Ok(())
    }
}
