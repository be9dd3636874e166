//! Prints results as they stream in: no format but the table keeps rows, and that only as many as it shows.
//!
//! ```text
//!  batches ─► Encoder (table, delimited, json) ─► text of one batch ─► output
//!  rows, time ───────────────────────────────────► summary ──────────► output
//! ```

use std::io::{self, ErrorKind, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use datafusion::arrow::json::writer::{JsonArray, LineDelimited};
use datafusion::dataframe::DataFrame;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::TryStreamExt;

use super::delimited::DelimitedEncoder;
use super::encoder::{Encoder, Nothing};
use super::json::JsonEncoder;
use super::table::TableEncoder;
use crate::Error;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table, or csv if the source has no end
    Automatic,
    /// For human eyes
    Table,
    /// Comma-separated values
    Csv,
    /// Tab-separated values
    Tsv,
    /// One array of objects
    Json,
    /// An object a line
    NdJson,
}

/// How many rows of a result a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MaxRows {
    Limited(usize),
    Unlimited,
}

impl FromStr for MaxRows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "unlimited" | "infinite" | "inf" | "none" => Ok(Self::Unlimited),
            number => match number.parse() {
                Ok(rows) => Ok(Self::Limited(rows)),
                Err(_) => Err("write a number of rows, or unlimited".to_string()),
            },
        }
    }
}

/// Why a result was not printed, or not to its end.
#[derive(Debug)]
pub(super) enum PrintError {
    /// The query failed.
    Query(Error),
    /// Nobody reads the output any more.
    OutputClosed,
    /// The output can't be written for another reason, such as a full disk.
    Output(io::Error),
}

impl<E: Into<Error>> From<E> for PrintError {
    fn from(error: E) -> Self {
        Self::Query(error.into())
    }
}

/// Prints results in one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    pub(super) format: Format,
    pub(super) max_rows: MaxRows,
    /// Whether to leave the summary out.
    pub(super) quiet: bool,
}

impl Printer {
    /// Runs a query and prints its result, then how many rows it had and how long it took since it `started`.
    pub(super) async fn print(
        &self,
        results: DataFrame,
        all_rows: bool,
        started: Instant,
        output: &mut impl Write,
    ) -> Result<(), PrintError> {
        let task = Arc::new(results.task_ctx());
        let plan = results.create_physical_plan().await?;
        let max_rows = if all_rows { MaxRows::Unlimited } else { self.max_rows };
        let mut encoder = encoder(self.format, max_rows, plan.as_ref(), &task);
        let mut batches = execute_stream(plan, task)?;
        let mut rows = 0;
        let mut text = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
            encoder.encode(&batch, &mut text)?;
            write(output, &text)?;
            text.clear();
        }
        encoder.finish(&mut text)?;
        if !self.quiet {
            let seconds = started.elapsed().as_secs_f64();
            text.extend_from_slice(format!("{rows} row(s) in set, {seconds:.3} seconds.\n\n").as_bytes());
        }
        write(output, &text)
    }
}

/// Writes all of `text` at once, so that whoever reads it need not wait for the next batch.
pub(super) fn write(output: &mut impl Write, text: &[u8]) -> Result<(), PrintError> {
    output.write_all(text).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => PrintError::OutputClosed,
        _ => PrintError::Output(error),
    })
}

fn encoder(
    format: Format,
    max_rows: MaxRows,
    plan: &dyn ExecutionPlan,
    task: &Arc<TaskContext>,
) -> Box<dyn Encoder + Send> {
    let schema = plan.schema();
    if schema.fields().is_empty() {
        return Box::new(Nothing);
    }
    match format {
        Format::Automatic if plan.boundedness().is_unbounded() => {
            Box::new(DelimitedEncoder::new(b',', schema))
        }
        Format::Automatic | Format::Table => Box::new(TableEncoder::new(max_rows, &schema, task)),
        Format::Csv => Box::new(DelimitedEncoder::new(b',', schema)),
        Format::Tsv => Box::new(DelimitedEncoder::new(b'\t', schema)),
        Format::Json => Box::new(JsonEncoder::<JsonArray>::new()),
        Format::NdJson => Box::new(JsonEncoder::<LineDelimited>::new()),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn print(sql: &str, format: Format, quiet: bool) -> crate::Result<String> {
        let results = SessionContext::new().sql(sql).await?;
        let printer = Printer { format, max_rows: MaxRows::Limited(2), quiet };
        let mut output = Vec::new();
        match printer.print(results, false, Instant::now(), &mut output).await {
            Ok(()) => Ok(String::from_utf8_lossy(&output).into_owned()),
            Err(PrintError::Query(error)) => Err(error),
            Err(error) => Ok(format!("{error:?}")),
        }
    }

    #[tokio::test]
    async fn formats_other_than_the_table_print_every_row() -> crate::Result<()> {
        let sql = "SELECT value AS n FROM generate_series(1, 3)";
        assert_eq!(print(sql, Format::Csv, true).await?, "n\n1\n2\n3\n");
        assert_eq!(print(sql, Format::Tsv, true).await?, "n\n1\n2\n3\n");
        assert_eq!(print(sql, Format::Json, true).await?, "[{\"n\":1},{\"n\":2},{\"n\":3}]\n");
        assert_eq!(print(sql, Format::NdJson, true).await?, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
        let table = print(sql, Format::Automatic, true).await?;
        assert!(table.ends_with("… 1 more rows, --maxrows shows more\n"), "{table}");
        Ok(())
    }

    #[tokio::test]
    async fn the_summary_counts_all_rows() -> crate::Result<()> {
        let text = print("SELECT * FROM generate_series(1, 3)", Format::Table, false).await?;
        assert!(text.contains("\n3 row(s) in set, "), "{text}");
        Ok(())
    }

    #[tokio::test]
    async fn statements_without_a_result_print_the_summary_alone() -> crate::Result<()> {
        let sql = "CREATE TABLE t AS SELECT 1";
        assert_eq!(print(sql, Format::Json, true).await?, "");
        let text = print(sql, Format::Table, false).await?;
        assert!(text.starts_with("0 row(s) in set, "), "{text}");
        Ok(())
    }

    #[tokio::test]
    async fn a_reader_that_leaves_is_no_failure_of_the_query() -> crate::Result<()> {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let results = SessionContext::new().sql("SELECT 1").await?;
        let printer = Printer { format: Format::Csv, max_rows: MaxRows::Unlimited, quiet: true };
        let printed = printer.print(results, false, Instant::now(), &mut Closed).await;
        assert!(matches!(printed, Err(PrintError::OutputClosed)), "{printed:?}");
        Ok(())
    }
}
