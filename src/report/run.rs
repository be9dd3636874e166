//! Runs a query for a report.
//!
//! ```text
//!  DataFrame + RowRecord ─► plan ─► rows, which are counted
//!                             └─ every 100 ms, or longer ─► Samples
//! ```

use std::path::Path;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::operators::{Operator, operators};
use super::query::{page, value};
use super::samples::{Sample, Samples};
use crate::Result;
use crate::accounts::{Accounting, Accounts};
use crate::config::InferenceOptions;
use crate::exec::{ExpressionMetrics, RowRecord, Rows};
use crate::model::runtime::RunHistogram;
use crate::secrets::hidden;

/// What is known of a query that has run.
pub(super) struct Ran {
    pub(super) sql: String,
    pub(super) accounts: Accounts,
    pub(super) samples: Vec<Sample>,
    /// The runs of each model.
    pub(super) runs: Vec<(String, RunHistogram)>,
    pub(super) operators: Vec<Operator>,
    pub(super) rows: Rows,
    /// Rows of the result.
    pub(super) result_rows: u64,
    /// Largest image, in pixels.
    pub(super) max_pixels: u64,
}

/// Whether the report in `file` is to be JSON rather than HTML.
fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Runs `query`, whose text is `sql`, and gives the numbers of its report as JSON. `observe` gets the plan before it runs.
///
/// # Errors
/// Those of the query.
pub(crate) async fn analyzed<W>(
    query: DataFrame,
    sql: &str,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>) -> W,
) -> Result<String> {
    Ok(json_of(&value(&run(query, sql, observe).await?)))
}

/// The plan of `query`, whose text is `sql`, as JSON.
///
/// # Errors
/// A plan that can't be executed.
pub(crate) async fn planned(query: DataFrame, sql: &str) -> Result<String> {
    let plan = query.create_physical_plan().await?;
    Ok(json_of(&json!({"sql": hidden(sql), "plan": operators(plan.as_ref())})))
}

/// Indented, for people too.
fn json_of(value: &Value) -> String {
    format!("{value:#}")
}

/// Runs `query`, whose text is `sql`, and writes a report of it to `file`: HTML, or JSON with the same numbers if the
/// file is called so. Returns a sentence about it. `observe` gets the plan before it runs.
///
/// # Errors
/// Those of the query; a file that can't be written.
pub(crate) async fn report<W>(
    query: DataFrame,
    sql: &str,
    file: &Path,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>) -> W,
) -> Result<String> {
    let ran = run(query, sql, observe).await?;
    if is_json(file) {
        let mut part = super::PartFile::create(file)?;
        part.write(&json_of(&value(&ran)))?;
        part.write("\n")?;
        part.finish()?;
    } else {
        page(&ran)?.write(file, &value(&ran))?;
    }
    Ok(format!("{}: {} row(s), {:.3} seconds\n", file.display(), ran.result_rows, ran.accounts.query.seconds))
}

async fn run<W>(
    query: DataFrame,
    sql: &str,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>) -> W,
) -> Result<Ran> {
    let (mut state, plan) = query.into_parts();
    let record = RowRecord::default();
    state.config_mut().options_mut().extensions.insert(record.clone());
    let max_pixels = InferenceOptions::of(state.config_options()).bounds.max_image_pixels;
    ExpressionMetrics::begin(&mut state);
    let query = DataFrame::new(state, plan);
    let (task, plan) = (Arc::new(query.task_ctx()), query.create_physical_plan().await?);
    let watch = observe(&plan);
    let accounting = Accounting::new(&plan);
    let mut result_rows = 0;
    accounting.begin();
    let mut samples = Samples::new(&accounting);
    let mut batches = execute_stream(Arc::clone(&plan), task)?;
    loop {
        samples.take(&accounting);
        match timeout(samples.next(), batches.try_next()).await {
            // Time for the next sample.
            Err(_) => {}
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(Some(batch))) => result_rows += batch.num_rows() as u64,
            Ok(Ok(None)) => break,
        }
    }
    accounting.end();
    drop(watch);
    let accounts = accounting.accounts();
    samples.add(&accounts);
    Ok(Ran {
        sql: hidden(sql).into_owned(),
        samples: samples.all,
        runs: accounting.runs().into_iter().collect(),
        operators: operators(plan.as_ref()),
        rows: record.rows(),
        accounts,
        result_rows,
        max_pixels,
    })
}
