//! JSON: one array of objects, or one object per line.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::Writer;
use datafusion::arrow::json::writer::JsonFormat;
use datafusion::error::Result;

use super::encoder::Encoder;

/// One object per row, without NULL fields.
pub(crate) struct JsonEncoder<F: JsonFormat> {
    writer: Writer<Vec<u8>, F>,
}

impl<F: JsonFormat> JsonEncoder<F> {
    pub(crate) fn new() -> Self {
        Self { writer: Writer::new(Vec::new()) }
    }
}

impl<F: JsonFormat> Encoder for JsonEncoder<F> {
    fn encode(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()> {
        self.writer.write(batch)?;
        text.append(self.writer.get_mut());
        Ok(())
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        self.writer.finish()?;
        let end = self.writer.get_mut();
        if !end.is_empty() {
            end.push(b'\n');
        }
        text.append(end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::json::writer::{JsonArray, LineDelimited};

    use super::*;
    use crate::shell::print::encoder::tests::{encode, sample};

    #[test]
    fn json_is_one_array_over_all_batches() -> Result<()> {
        let batch = sample();
        let text = encode(JsonEncoder::<JsonArray>::new(), &[batch.slice(0, 1), batch.slice(1, 1)])?;
        let expected = r#"[{"name":"a,b","tags":{"label":"cat"}},{"tags":{"label":"dog"}}]"#;
        assert_eq!(text, format!("{expected}\n"));
        assert_eq!(encode(JsonEncoder::<JsonArray>::new(), &[])?, "[]\n");
        Ok(())
    }

    #[test]
    fn nd_json_is_one_line_per_row() -> Result<()> {
        let text = encode(JsonEncoder::<LineDelimited>::new(), &[sample()])?;
        assert_eq!(text, "{\"name\":\"a,b\",\"tags\":{\"label\":\"cat\"}}\n{\"tags\":{\"label\":\"dog\"}}\n");
        assert_eq!(encode(JsonEncoder::<LineDelimited>::new(), &[])?, "");
        Ok(())
    }
}
