//! `\x`: one line per value, for rows that are too wide for a screen.
//!
//! ```text
//! -[ row 1 ]-------
//! path       | lion.jpg
//! p.label    | lion
//! p.class    | 291
//! ```

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::kernels::nullif::nullif;
use datafusion::arrow::compute::{is_not_null, not};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::config::FormatOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;

use super::encoder::Encoder;
use super::max_rows::MaxRows;
use super::table::{column_to_text, left_out};

/// Length of the line above each row, in characters.
const RULE: usize = 40;

/// Writes the first rows immediately, each field of a struct on its own line, and counts the others.
pub(crate) struct ExpandedEncoder {
    options: FormatOptions,
    /// Length of the longest name, in characters.
    width: usize,
    rows_shown: usize,
    rows_to_show: usize,
    rows_left_out: usize,
}

impl ExpandedEncoder {
    pub(crate) fn new(max_rows: MaxRows, schema: &Schema, task: &TaskContext) -> Self {
        let mut names = Vec::new();
        schema.fields().iter().for_each(|field| add_names(field, "", &mut names));
        Self {
            options: task.session_config().options().format.clone(),
            width: names.iter().map(|name| name.chars().count()).max().unwrap_or(0),
            rows_shown: 0,
            rows_to_show: max_rows.count(),
            rows_left_out: 0,
        }
    }
}

impl Encoder for ExpandedEncoder {
    fn encode(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()> {
        let rows = batch.num_rows().min(self.rows_to_show);
        self.rows_to_show -= rows;
        self.rows_left_out += batch.num_rows() - rows;
        let shown = batch.slice(0, rows);
        let mut columns = Vec::new();
        for (field, column) in shown.schema_ref().fields().iter().zip(shown.columns()) {
            add_columns(&self.options, field, "", column, &mut columns)?;
        }
        for row in 0..rows {
            self.rows_shown += 1;
            let heading = format!("-[ row {} ]", self.rows_shown);
            text.extend_from_slice(format!("{heading:-<RULE$}\n").as_bytes());
            for (name, texts) in &columns {
                let line = format!("{name:<0$} | {1}", self.width, texts.as_string::<i64>().value(row));
                text.extend_from_slice(line.trim_end().as_bytes());
                text.push(b'\n');
            }
        }
        Ok(())
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        if self.rows_left_out > 0 {
            text.extend_from_slice(left_out(self.rows_left_out).as_bytes());
        }
        Ok(())
    }
}

/// Adds the names of a column's lines.
fn add_names(field: &Field, prefix: &str, names: &mut Vec<String>) {
    let name = format!("{prefix}{}", field.name());
    match field.data_type() {
        DataType::Struct(fields) => {
            fields.iter().for_each(|field| add_names(field, &format!("{name}."), names));
        }
        _ => names.push(name),
    }
}

/// Adds a column's lines: their names and values.
fn add_columns(
    options: &FormatOptions,
    field: &Field,
    prefix: &str,
    column: &ArrayRef,
    columns: &mut Vec<(String, ArrayRef)>,
) -> Result<()> {
    let name = format!("{prefix}{}", field.name());
    let DataType::Struct(fields) = field.data_type() else {
        columns.push((name, column_to_text(options, field, column)?));
        return Ok(());
    };
    let is_null = not(&is_not_null(column)?)?;
    for (field, values) in fields.iter().zip(column.as_struct().columns()) {
        // The fields of a NULL struct are undefined.
        let values = nullif(values, &is_null)?;
        add_columns(options, field, &format!("{name}."), &values, columns)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::print::encoder::tests::{encode, sample};

    fn expanded(max_rows: MaxRows) -> Result<String> {
        let batch = sample();
        let encoder = ExpandedEncoder::new(max_rows, batch.schema_ref(), &TaskContext::default());
        encode(encoder, &[batch.slice(0, 1), batch.slice(1, 1)])
    }

    #[test]
    fn each_field_of_a_struct_has_a_line() -> Result<()> {
        insta::assert_snapshot!(expanded(MaxRows::Unlimited)?, @r"
        -[ row 1 ]------------------------------
        name       | a,b
        tags.label | cat
        -[ row 2 ]------------------------------
        name       |
        tags.label | dog
        ");
        Ok(())
    }

    #[test]
    fn rows_beyond_the_limit_are_counted() -> Result<()> {
        let text = expanded(MaxRows::Limited(1))?;
        assert!(text.contains("row 1 ]") && !text.contains("row 2 ]"), "{text}");
        assert!(text.ends_with("… 1 more rows, --maxrows shows more\n"), "{text}");
        Ok(())
    }
}
