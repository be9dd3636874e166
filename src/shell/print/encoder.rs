//! The interface of output formats.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;

/// Encodes the batches of one result as text, one by one.
pub(crate) trait Encoder {
    /// Appends the part of the result that can be printed already.
    fn encode(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()>;

    /// Appends the rest after the last batch.
    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()>;
}

/// Prints nothing: for statements without a result.
pub(crate) struct Nothing;

impl Encoder for Nothing {
    fn encode(&mut self, _: &RecordBatch, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, StringArray, StructArray};
    use datafusion::arrow::datatypes::{DataType, Field};

    use super::*;

    /// Two rows with a text column (one value with a comma, one NULL) and a struct column.
    pub(in crate::shell) fn sample() -> RecordBatch {
        let names = Arc::new(StringArray::from(vec![Some("a,b"), None])) as ArrayRef;
        let labels = Arc::new(StringArray::from(vec!["cat", "dog"])) as ArrayRef;
        let label = Arc::new(Field::new("label", DataType::Utf8, true));
        let tags = Arc::new(StructArray::from(vec![(label, labels)])) as ArrayRef;
        RecordBatch::from(StructArray::from(vec![
            (Arc::new(Field::new("name", DataType::Utf8, true)), names),
            (Arc::new(Field::new("tags", tags.data_type().clone(), true)), tags),
        ]))
    }

    /// The full output for a result of these batches.
    pub(in crate::shell) fn encode(mut encoder: impl Encoder, batches: &[RecordBatch]) -> Result<String> {
        let mut text = Vec::new();
        for batch in batches {
            encoder.encode(batch, &mut text)?;
        }
        encoder.finish(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
