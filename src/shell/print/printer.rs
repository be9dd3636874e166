//! Prints results as they arrive. Only the table keeps rows, and only those that it shows.
//!
//! ```text
//!  batches ─► Encoder (table, expanded, delimited, json, markup) ─► text of one batch ─► output
//!  rows, time, metrics of the plan ──────────────────────────────────────────────────────► Summary
//! ```

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::json::writer::{JsonArray, LineDelimited};
use datafusion::dataframe::DataFrame;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::TryStreamExt;

use super::cells::Detail;
use super::delimited::DelimitedEncoder;
use super::encoder::{Encoder, Nothing};
use super::expanded::{AutoEncoder, Expanded, ExpandedEncoder};
use super::format::Format;
use super::json::JsonEncoder;
use super::layout::Look;
use super::markup::{Language, MarkupEncoder};
use super::max_rows::MaxRows;
use super::table::TableEncoder;
use crate::Error;
use crate::exec::ExpressionMetrics;
use crate::queries::RunningQuery;
use crate::shell::progress::{
    Progress, Summary, inference, listed_failures, skipped_files, unlisted_entries,
};

/// Why a result was not printed completely.
#[derive(Debug)]
pub(crate) enum PrintError {
    /// The query failed.
    Query(Error),
    /// The reader of the output has closed it.
    OutputClosed,
    /// The output can't be written for another reason, such as a full disk.
    Output(io::Error),
}

impl<E: Into<Error>> From<E> for PrintError {
    fn from(error: E) -> Self {
        Self::Query(error.into())
    }
}

/// Prints results with these settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) max_rows: MaxRows,
    /// Whether tables are printed with one line per value.
    pub(crate) expanded: Expanded,
}

/// What fits where a result is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Characters in a line; `None` for any number.
    pub(crate) width: Option<usize>,
    /// Whether tables have all rows, more than [`Printer::max_rows`] too.
    pub(crate) all_rows: bool,
    pub(crate) detail: Detail,
}

impl Printer {
    /// Runs a query and prints its result; the summary measures time from `started`. The query is shown by `progress`, and
    /// where it is listed.
    pub(crate) async fn print(
        &self,
        results: DataFrame,
        page: Page,
        started: Instant,
        (progress, listed): (&Progress, Option<&RunningQuery>),
        output: &mut impl Write,
    ) -> Result<Summary, PrintError> {
        let (mut state, plan) = results.into_parts();
        if let Some(listed) = listed {
            listed.prepare(&mut state);
        }
        ExpressionMetrics::begin(&mut state);
        let results = DataFrame::new(state, plan);
        let task = Arc::new(results.task_ctx());
        let plan = results.create_physical_plan().await?;
        let watch = progress.watch(&plan);
        if let Some(listed) = listed {
            listed.observe(&plan);
        }
        let mut encoder = self.encoder(page, plan.as_ref(), &task);
        let mut batches = execute_stream(Arc::clone(&plan), task)?;
        let mut rows = 0;
        let mut text = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
            if let Some(listed) = listed {
                listed.add_batch(&batch);
            }
            encoder.encode(&batch, &mut text)?;
            write(output, &text)?;
            text.clear();
        }
        encoder.finish(&mut text)?;
        let facts = watch.facts();
        drop(watch);
        write(output, &text)?;
        let (inference, skipped_files) = (inference(plan.as_ref()), skipped_files(plan.as_ref()));
        let (listed_failures, unlisted_entries) =
            (listed_failures(plan.as_ref()), unlisted_entries(plan.as_ref()));
        Ok(Summary {
            rows,
            elapsed: started.elapsed(),
            inference,
            skipped_files,
            unlisted_entries,
            listed_failures,
            facts,
        })
    }

    fn encoder(
        &self,
        page: Page,
        plan: &dyn ExecutionPlan,
        task: &Arc<TaskContext>,
    ) -> Box<dyn Encoder + Send> {
        let schema = plan.schema();
        if schema.fields().is_empty() {
            return Box::new(Nothing);
        }
        let null = &task.session_config().options().format.null;
        match self.format {
            Format::Automatic if plan.boundedness().is_unbounded() => {
                Box::new(DelimitedEncoder::new(b',', null, schema))
            }
            Format::Automatic | Format::Table => self.table_encoder(Look::Ascii, page, &schema, task),
            Format::Box => self.table_encoder(Look::Lines, page, &schema, task),
            Format::Csv => Box::new(DelimitedEncoder::new(b',', null, schema)),
            Format::Tsv => Box::new(DelimitedEncoder::new(b'\t', null, schema)),
            Format::Json => Box::new(JsonEncoder::<JsonArray>::new()),
            Format::NdJson => Box::new(JsonEncoder::<LineDelimited>::new()),
            Format::Markdown => Box::new(MarkupEncoder::new(Language::Markdown, schema, task)),
            Format::Html => Box::new(MarkupEncoder::new(Language::Html, schema, task)),
        }
    }

    fn table_encoder(
        &self,
        look: Look,
        Page { width, all_rows, detail }: Page,
        schema: &Schema,
        task: &TaskContext,
    ) -> Box<dyn Encoder + Send> {
        let max_rows = if all_rows { MaxRows::Unlimited } else { self.max_rows };
        let table = || TableEncoder::new(look, width, detail, max_rows, schema, task);
        let expanded = || ExpandedEncoder::new(detail, max_rows, schema, task);
        match self.expanded {
            Expanded::Off => Box::new(table()),
            Expanded::On => Box::new(expanded()),
            Expanded::Auto => Box::new(AutoEncoder::new(table(), expanded(), task)),
        }
    }
}

/// Writes and flushes `text`, so that a reader does not have to wait for the next batch.
pub(crate) fn write(output: &mut impl Write, text: &[u8]) -> Result<(), PrintError> {
    if text.is_empty() {
        return Ok(());
    }
    output.write_all(text).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => PrintError::OutputClosed,
        _ => PrintError::Output(error),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::shell::progress::When;

    async fn print_to(sql: &str, format: Format, output: &mut impl Write) -> Result<Summary, PrintError> {
        let results = SessionContext::new().sql(sql).await?;
        let printer = Printer { format, max_rows: MaxRows::Limited(2), expanded: Expanded::Off };
        let page = Page { width: None, all_rows: false, detail: Detail::Short };
        printer.print(results, page, Instant::now(), (&Progress::new(When::Never), None), output).await
    }

    async fn print(sql: &str, format: Format) -> crate::Result<(String, usize)> {
        let mut output = Vec::new();
        match print_to(sql, format, &mut output).await {
            Ok(summary) => Ok((String::from_utf8_lossy(&output).into_owned(), summary.rows)),
            Err(PrintError::Query(error)) => Err(error),
            Err(error) => Ok((format!("{error:?}"), 0)),
        }
    }

    #[tokio::test]
    async fn formats_other_than_the_table_print_every_row() -> crate::Result<()> {
        let sql = "SELECT value AS n FROM generate_series(1, 3)";
        assert_eq!(print(sql, Format::Csv).await?.0, "n\n1\n2\n3\n");
        assert_eq!(print(sql, Format::Tsv).await?.0, "n\n1\n2\n3\n");
        assert_eq!(print(sql, Format::Json).await?.0, "[{\"n\":1},{\"n\":2},{\"n\":3}]\n");
        assert_eq!(print(sql, Format::NdJson).await?.0, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
        assert_eq!(print(sql, Format::Markdown).await?.0, "| n |\n| ---: |\n| 1 |\n| 2 |\n| 3 |\n");
        assert_eq!(print(sql, Format::Html).await?.0.matches("<td").count(), 3);
        let (table, rows) = print(sql, Format::Automatic).await?;
        assert!(table.ends_with("… 1 more rows, --maxrows shows more\n"), "{table}");
        assert_eq!(rows, 3, "the summary counts all rows");
        Ok(())
    }

    #[tokio::test]
    async fn statements_without_a_result_print_nothing() -> crate::Result<()> {
        let sql = "CREATE TABLE t AS SELECT 1";
        assert_eq!(print(sql, Format::Json).await?, (String::new(), 0));
        assert_eq!(print(sql, Format::Table).await?, (String::new(), 0));
        Ok(())
    }

    #[tokio::test]
    async fn a_closed_output_is_not_a_query_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let printed = print_to("SELECT 1", Format::Csv, &mut Closed).await;
        assert!(matches!(printed, Err(PrintError::OutputClosed)), "{printed:?}");
    }
}
