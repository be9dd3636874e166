//! `\x`: one line per value, for rows that are too wide for a screen. `\x auto` decides by the width of the terminal.
//!
//! ```text
//! -[ row 1 ]-------
//! path       | lion.jpg
//! p.label    | lion
//! p.class    | 291
//! ```

use std::fmt;
use std::iter;
use std::str::FromStr;

use console::measure_text_width;
use datafusion::arrow::array::{ArrayRef, AsArray, LargeStringArray, RecordBatch};
use datafusion::arrow::compute::kernels::nullif::nullif;
use datafusion::arrow::compute::{is_not_null, not};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::config::FormatOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::cells::{Detail, column_to_text};
use super::encoder::Encoder;
use super::excerpt::heading_of;
use super::max_rows::MaxRows;
use super::table::{TableEncoder, left_out};

/// Length of the line above each row, in characters.
const RULE: usize = 40;

/// Whether results are printed with one line per value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expanded {
    On,
    Off,
    /// Those that are wider than the terminal.
    Auto,
}

impl Expanded {
    /// What `\x` without an argument switches to.
    pub(crate) fn toggled(self) -> Self {
        if self == Self::Off { Self::On } else { Self::Off }
    }
}

impl fmt::Display for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Auto => "auto",
        })
    }
}

impl FromStr for Expanded {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => Err("write on, off, auto or nothing".to_string()),
        }
    }
}

/// Writes the first rows immediately, each field of a struct on its own line, and counts the others.
pub(super) struct ExpandedEncoder {
    options: FormatOptions,
    detail: Detail,
    /// Width of the longest name.
    width: usize,
    rows_shown: usize,
    rows_to_show: usize,
    rows_left_out: usize,
}

impl ExpandedEncoder {
    pub(super) fn new(detail: Detail, max_rows: MaxRows, schema: &Schema, task: &TaskContext) -> Self {
        let mut names = Vec::new();
        schema.fields().iter().for_each(|field| add_names(field, "", &mut names));
        Self {
            options: task.session_config().options().format.clone(),
            detail,
            width: names.iter().map(|name| measure_text_width(name)).max().unwrap_or(0),
            rows_shown: 0,
            rows_to_show: max_rows.count(),
            rows_left_out: 0,
        }
    }

    /// Adds a column's lines: their names and values.
    fn add_columns(
        &self,
        field: &Field,
        prefix: &str,
        column: &ArrayRef,
        columns: &mut Vec<(String, LargeStringArray)>,
    ) -> Result<()> {
        let name = format!("{prefix}{}", heading_of(field.name()));
        let DataType::Struct(fields) = field.data_type() else {
            columns.push((name, column_to_text(&self.options, field, column, self.detail)?));
            return Ok(());
        };
        let is_null = not(&is_not_null(column)?)?;
        for (field, values) in fields.iter().zip(column.as_struct().columns()) {
            // The fields of a NULL struct are undefined.
            let values = nullif(values, &is_null)?;
            self.add_columns(field, &format!("{name}."), &values, columns)?;
        }
        Ok(())
    }

    /// Writes a value after its name; its further lines are below the first.
    fn add_value(&self, name: &str, value: &str, text: &mut Vec<u8>) {
        let names = iter::once(name).chain(iter::repeat(""));
        for (name, line) in names.zip(value.split('\n')) {
            let indent = self.width - measure_text_width(name);
            let line = format!("{name}{:indent$} | {line}", "");
            text.extend_from_slice(line.trim_end().as_bytes());
            text.push(b'\n');
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
            self.add_columns(field, "", column, &mut columns)?;
        }
        for row in 0..rows {
            self.rows_shown += 1;
            let heading = format!("-[ row {} ]", self.rows_shown);
            text.extend_from_slice(format!("{heading:-<RULE$}\n").as_bytes());
            for (name, texts) in &columns {
                self.add_value(name, texts.value(row), text);
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

/// Prints the rows of a table that fits into the terminal as a table, others expanded.
pub(super) struct AutoEncoder {
    table: TableEncoder,
    expanded: ExpandedEncoder,
    /// The rows so far, expanded.
    text: Vec<u8>,
    reservation: MemoryReservation,
}

impl AutoEncoder {
    pub(super) fn new(table: TableEncoder, expanded: ExpandedEncoder, task: &TaskContext) -> Self {
        let reservation = MemoryConsumer::new("rows to print").register(task.memory_pool());
        Self { table, expanded, text: Vec::new(), reservation }
    }
}

impl Encoder for AutoEncoder {
    fn encode(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()> {
        self.table.encode(batch, text)?;
        self.expanded.encode(batch, &mut self.text)?;
        self.reservation.try_resize(self.text.len())
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        if !self.table.is_too_wide() {
            return self.table.finish(text);
        }
        text.append(&mut self.text);
        self.expanded.finish(text)
    }
}

/// Adds the names of a column's lines.
fn add_names(field: &Field, prefix: &str, names: &mut Vec<String>) {
    let name = format!("{prefix}{}", heading_of(field.name()));
    match field.data_type() {
        DataType::Struct(fields) => {
            fields.iter().for_each(|field| add_names(field, &format!("{name}."), names));
        }
        _ => names.push(name),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringArray;

    use super::*;
    use crate::shell::print::encoder::tests::{encode, sample};
    use crate::shell::print::layout::Look;

    fn expanded(max_rows: MaxRows) -> Result<String> {
        let batch = sample();
        let encoder =
            ExpandedEncoder::new(Detail::Short, max_rows, batch.schema_ref(), &TaskContext::default());
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

    #[test]
    fn wide_names_and_further_lines_are_aligned() -> Result<()> {
        let texts = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("写真", texts("a\nb")), ("x", texts("c"))])?;
        let encoder = ExpandedEncoder::new(
            Detail::Short,
            MaxRows::Unlimited,
            batch.schema_ref(),
            &TaskContext::default(),
        );
        insta::assert_snapshot!(encode(encoder, &[batch])?, @r"
        -[ row 1 ]------------------------------
        写真 | a
             | b
        x    | c
        ");
        Ok(())
    }

    #[test]
    fn rows_are_expanded_where_the_table_is_too_wide() -> Result<()> {
        let (batch, task) = (sample(), TaskContext::default());
        let print = |width| {
            let (schema, all) = (batch.schema(), MaxRows::Unlimited);
            let table = TableEncoder::new(Look::Ascii, Some(width), Detail::Short, all, &schema, &task);
            let expanded = ExpandedEncoder::new(Detail::Short, all, &schema, &task);
            let batches = [batch.slice(0, 1), batch.slice(1, 1)];
            encode(AutoEncoder::new(table, expanded, &task), &batches)
        };
        assert!(print(23)?.starts_with("+------+--------------+\n"), "{}", print(23)?);
        assert_eq!(print(22)?, expanded(MaxRows::Unlimited)?);
        Ok(())
    }
}
