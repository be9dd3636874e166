//! Tables in Markdown and HTML, with all rows and whole values; only images are described.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::config::FormatOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;

use super::cells::{Detail, column_to_text};
use super::encoder::Encoder;

/// The language of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Markdown,
    Html,
}

/// Writes a row at a time.
pub(super) struct MarkupEncoder {
    language: Language,
    schema: SchemaRef,
    options: FormatOptions,
    has_heading: bool,
}

impl MarkupEncoder {
    pub(super) fn new(language: Language, schema: SchemaRef, task: &TaskContext) -> Self {
        let options = task.session_config().options().format.clone();
        Self { language, schema, options, has_heading: false }
    }

    fn heading(&mut self) -> String {
        if self.has_heading {
            return String::new();
        }
        self.has_heading = true;
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        match self.language {
            Language::Markdown => {
                let rules = self.schema.fields().iter().map(|field| markdown_rule(field));
                format!("{}| {} |\n", markdown_row(names), rules.collect::<Vec<_>>().join(" | "))
            }
            Language::Html => {
                let names = names.map(|name| format!("<th>{}</th>", html_text(name)));
                format!("<table>\n<thead>\n<tr>{}</tr>\n</thead>\n<tbody>\n", names.collect::<String>())
            }
        }
    }

    fn row(&self, values: &[&str]) -> String {
        match self.language {
            Language::Markdown => markdown_row(values.iter().copied()),
            Language::Html => {
                let cells = values.iter().zip(self.schema.fields());
                let cells = cells.map(|(value, field)| html_cell(value, field));
                format!("<tr>{}</tr>\n", cells.collect::<String>())
            }
        }
    }
}

impl Encoder for MarkupEncoder {
    fn encode(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<()> {
        text.extend_from_slice(self.heading().as_bytes());
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let columns = columns
            .map(|(field, column)| column_to_text(&self.options, field, column, Detail::Whole))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let values = columns.iter().map(|texts| texts.value(row)).collect::<Vec<_>>();
            text.extend_from_slice(self.row(&values).as_bytes());
        }
        Ok(())
    }

    fn finish(&mut self, text: &mut Vec<u8>) -> Result<()> {
        text.extend_from_slice(self.heading().as_bytes());
        if self.language == Language::Html {
            text.extend_from_slice(b"</tbody>\n</table>\n");
        }
        Ok(())
    }
}

fn markdown_row<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let cells = values.map(|value| format!(" {} |", markdown_text(value)));
    format!("|{}\n", cells.collect::<String>())
}

fn markdown_rule(field: &Field) -> &'static str {
    if field.data_type().is_numeric() { "---:" } else { "---" }
}

/// Escapes what would end a cell or start an HTML tag.
fn markdown_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '<' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("<br>"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn html_cell(value: &str, field: &Field) -> String {
    let style = if field.data_type().is_numeric() { " style=\"text-align: right\"" } else { "" };
    format!("<td{style}>{}</td>", html_text(value))
}

fn html_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("<br>"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::shell::print::encoder::tests::encode;

    fn markup(language: Language, batches: &[RecordBatch]) -> Result<String> {
        let schema = batch()?.schema();
        encode(MarkupEncoder::new(language, schema, &TaskContext::default()), batches)
    }

    fn batch() -> Result<RecordBatch> {
        let texts = Arc::new(StringArray::from(vec![Some("a|b\\c"), Some("<b>&\"1\"\n2"), None])) as ArrayRef;
        let numbers = Arc::new(Int64Array::from(vec![1, 20, 300])) as ArrayRef;
        Ok(RecordBatch::try_from_iter([("a|b", texts), ("n < 1", numbers)])?)
    }

    #[test]
    fn markdown_is_one_table_over_all_batches() -> Result<()> {
        let batch = batch()?;
        insta::assert_snapshot!(markup(Language::Markdown, &[batch.slice(0, 1), batch.slice(1, 2)])?, @r#"
        | a\|b | n \< 1 |
        | --- | ---: |
        | a\|b\\c | 1 |
        | \<b>&"1"<br>2 | 20 |
        |  | 300 |
        "#);
        insta::assert_snapshot!(markup(Language::Markdown, &[])?, @r"
        | a\|b | n \< 1 |
        | --- | ---: |
        ");
        Ok(())
    }

    #[test]
    fn html_is_one_table_over_all_batches() -> Result<()> {
        let batch = batch()?;
        insta::assert_snapshot!(markup(Language::Html, &[batch.slice(0, 1), batch.slice(1, 2)])?, @r#"
        <table>
        <thead>
        <tr><th>a|b</th><th>n &lt; 1</th></tr>
        </thead>
        <tbody>
        <tr><td>a|b\c</td><td style="text-align: right">1</td></tr>
        <tr><td>&lt;b&gt;&amp;&quot;1&quot;<br>2</td><td style="text-align: right">20</td></tr>
        <tr><td></td><td style="text-align: right">300</td></tr>
        </tbody>
        </table>
        "#);
        insta::assert_snapshot!(markup(Language::Html, &[])?, @r"
        <table>
        <thead>
        <tr><th>a|b</th><th>n &lt; 1</th></tr>
        </thead>
        <tbody>
        </tbody>
        </table>
        ");
        Ok(())
    }
}
