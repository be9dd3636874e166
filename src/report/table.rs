//! Rows as a table of a page.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;

use super::html::escaped;
use crate::Result;

/// Characters from which on a text may take several lines.
const LONG: usize = 32;

/// The rows of `batch`; those for which `is_marked` stand out.
///
/// # Errors
/// A column that can't be displayed.
pub(super) fn table(batch: &RecordBatch, is_marked: impl Fn(usize) -> bool) -> Result<String> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(DataFusionError::from)?;
    let number = |column: usize| batch.column(column).data_type().is_numeric();
    let class = |column: usize| if number(column) { " class=\"number\"" } else { "" };
    let mut html = "<div class=\"table\" tabindex=\"0\"><table><thead><tr>".to_owned();
    for (column, field) in batch.schema().fields().iter().enumerate() {
        html += &format!("<th{}>{}</th>", class(column), escaped(field.name()));
    }
    html += "</tr></thead><tbody>\n";
    for row in 0..batch.num_rows() {
        html += if is_marked(row) { "<tr class=\"marked\">" } else { "<tr>" };
        for (column, values) in columns.iter().enumerate() {
            let value = values.value(row).try_to_string().map_err(DataFusionError::from)?;
            let class = if value.chars().count() > LONG { " class=\"long\"" } else { class(column) };
            html += &format!("<td{class}>{}</td>", escaped(&value));
        }
        html += "</tr>\n";
    }
    Ok(html + "</tbody></table></div>\n")
}
