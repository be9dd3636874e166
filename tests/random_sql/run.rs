//! Runs both forms of a query, and compares what they give.

use std::path::Path;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::runtime::SpawnedTask;
use seequel::Engine;
use tokio::time::timeout;

use super::answers::{Forms, Twins};
use super::choices::Choices;
use super::queries::generate;

/// Timeout of a statement that usually needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a statement gave: its rows as text, sorted, or an error.
pub(crate) type Rows = Result<Vec<Vec<String>>, String>;

/// The forms of a statement, with those before it, and what they gave.
#[derive(Debug)]
pub(crate) struct Comparison {
    statements: Vec<Forms>,
    pub(crate) calls: Rows,
    /// Over the answers: with their fields, and if that does not agree, with a column for each.
    pub(crate) answers: Vec<Rows>,
}

/// How the results relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Agree,
    /// DataFusion refuses the query over the answers too, in one way of writing or in both.
    Refused,
    /// Over the answers, the ways of writing differ, so that DataFusion is wrong in one of them.
    Torn,
    /// It can be run over the answers and not with calls.
    CallsRefused,
    Differ,
}

impl Comparison {
    pub(crate) async fn of(twins: &Twins, choices: Choices) -> (Self, Vec<u32>, Vec<&'static str>) {
        let (generated, record) = generate(choices, twins.folder.path());
        let files = twins.folder.path().join("photos");
        let statements = generated.before.iter().chain([&generated.query]);
        let statements: Vec<_> = statements.map(|sql| Forms::of(sql, &files)).collect();
        let form = |of: fn(&Forms) -> &String| statements.iter().map(|forms| of(forms).clone()).collect();
        let calls = run(&twins.calls, form(|forms| &forms.calls)).await;
        let mut answers = vec![run(&twins.answers, form(|forms| &forms.fields)).await];
        if !agree(&calls, &answers[0]) {
            answers.push(run(&twins.answers, form(|forms| &forms.columns)).await);
        }
        (Self { statements, calls, answers }, record, generated.clauses.into_iter().collect())
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let is_refused = self.answers.iter().any(Result::is_err);
        match &self.calls {
            Ok(_) if self.answers.iter().all(Result::is_err) => Verdict::Refused,
            Ok(_) if self.answers.iter().any(|answers| agree(&self.calls, answers)) => {
                let is_torn = self.answers.iter().filter(|answers| answers.is_ok()).count() > 1;
                if is_torn { Verdict::Torn } else { Verdict::Agree }
            }
            Ok(_) => Verdict::Differ,
            Err(_) if is_refused => Verdict::Refused,
            Err(_) => Verdict::CallsRefused,
        }
    }

    /// Whether `clause` is in the statements.
    pub(crate) fn contains(&self, clause: &str) -> bool {
        self.statements.iter().any(|forms| forms.calls.contains(clause))
    }

    /// The error of the calls, or else that over the answers.
    pub(crate) fn error(&self) -> Option<&String> {
        self.calls.as_ref().err().or_else(|| self.answers.iter().find_map(|rows| rows.as_ref().err()))
    }

    /// For messages: the statements and what they gave, with `folder` shortened.
    pub(crate) fn display(&self, folder: &Path) -> String {
        let folder = folder.display().to_string();
        let all = |of: fn(&Forms) -> &String, rows: Option<&Rows>| {
            let statements = self.statements.iter().map(|forms| format!("  {};\n", of(forms)));
            let statements = statements.collect::<String>().replace(&folder, "$FOLDER");
            rows.map_or_else(String::new, |rows| format!("{statements}{}", display(rows)))
        };
        format!(
            "calls:\n{}fields:\n{}columns:\n{}",
            all(|forms| &forms.calls, Some(&self.calls)),
            all(|forms| &forms.fields, self.answers.first()),
            all(|forms| &forms.columns, self.answers.get(1)),
        )
    }
}

fn display(rows: &Rows) -> String {
    let cell = |cell: &String| cell.chars().take(40).collect::<String>();
    let row = |row: &Vec<String>| format!("    {}\n", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
    match rows {
        Ok(rows) => format!("  {} rows\n{}", rows.len(), rows.iter().take(12).map(row).collect::<String>()),
        Err(error) => format!("  {}\n", error.lines().take(4).collect::<Vec<_>>().join("\n  ")),
    }
}

fn agree(calls: &Rows, answers: &Rows) -> bool {
    matches!((calls, answers), (Ok(calls), Ok(answers)) if are_equal(calls, answers))
}

async fn run(engine: &Engine, statements: Vec<String>) -> Rows {
    let context = engine.clone();
    // In a task of its own, since a panic is a finding too.
    let task = SpawnedTask::spawn(async move {
        let mut rows = Vec::new();
        for sql in statements {
            let results = context.sql(&sql).await.map_err(|error| error.to_string())?;
            rows = results.collect().await.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(rows)
    });
    let outcome = timeout(PATIENCE, task.join()).await;
    // Frees the name, if there is one.
    drop(engine.sql("DEALLOCATE p").await);
    match outcome {
        Ok(Ok(batches)) => Ok(to_text(&batches?)),
        Ok(Err(panic)) => Err(format!("panic: {panic}")),
        Err(_) => Err(format!("it did not end within {PATIENCE:?}")),
    }
}

fn to_text(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap());
        let columns: Vec<_> = columns.collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            let cells = columns.iter().map(|column| column.value(row).to_string());
            cells.collect::<Vec<_>>()
        }));
    }
    rows.sort_unstable();
    rows
}

/// Whether rows are the same, numbers to their last digits.
fn are_equal(one: &[Vec<String>], other: &[Vec<String>]) -> bool {
    let cells = |rows: &[Vec<String>]| rows.concat();
    one.len() == other.len() && cells(one).iter().zip(cells(other)).all(|(a, b)| *a == b || are_close(a, &b))
}

fn are_close(one: &str, other: &str) -> bool {
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => (one - other).abs() <= 1e-6 * one.abs().max(other.abs()),
        _ => false,
    }
}
