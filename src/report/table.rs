//! Rows as a table of a page.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;

use super::html::escaped;
use crate::Result;

/// Characters of a value of a record batch from which on it may take several lines.
const LONG: usize = 32;

/// The rows of `batch`; those for which `is_marked` stand out.
///
/// # Errors
/// A column that can't be displayed.
pub(super) fn table(batch: &RecordBatch, is_marked: impl Fn(usize) -> bool) -> Result<String> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(DataFusionError::from)?;
    let texts = |row| columns.iter().map(|values| values.value(row).try_to_string()).collect();
    let rows = (0..batch.num_rows()).map(texts).collect::<Result<_, _>>().map_err(DataFusionError::from)?;
    let schema = batch.schema();
    let header: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let numbers = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
    Ok(Table { header, numbers, rows, long: LONG }.html(is_marked))
}

/// A table of texts; all but the first column are numbers, unless they don't start with one.
pub(super) fn table_of_texts(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let is_number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit());
    let rows: Vec<Vec<String>> = rows.collect();
    let numbers = (0..header.len())
        .map(|column| column > 0 && rows.iter().all(|row| row[column].is_empty() || is_number(&row[column])))
        .collect();
    Table { header: header.to_vec(), numbers, rows, long: usize::MAX }.html(|_| false)
}

struct Table<'a> {
    header: Vec<&'a str>,
    /// Whether each column is of numbers.
    numbers: Vec<bool>,
    rows: Vec<Vec<String>>,
    /// Characters from which on a text may take several lines.
    long: usize,
}

impl Table<'_> {
    fn html(&self, is_marked: impl Fn(usize) -> bool) -> String {
        let class = |column: usize| if self.numbers[column] { " class=\"number\"" } else { "" };
        let mut html = "<div class=\"table\" tabindex=\"0\"><table><thead><tr>".to_owned();
        for (column, name) in self.header.iter().enumerate() {
            html += &format!("<th{}>{}</th>", class(column), escaped(name));
        }
        html += "</tr></thead><tbody>\n";
        for (number, row) in self.rows.iter().enumerate() {
            html += if is_marked(number) { "<tr class=\"marked\">" } else { "<tr>" };
            for (column, value) in row.iter().enumerate() {
                let class = if value.chars().count() > self.long { " class=\"long\"" } else { class(column) };
                html += &format!("<td{class}>{}</td>", escaped(value));
            }
            html += "</tr>\n";
        }
        html + "</tbody></table></div>\n"
    }
}
