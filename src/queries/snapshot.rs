//! What is known of a query, as values.

use serde::Serialize;

use super::plan::PlanNode;
use super::results::ResultSample;
use crate::accounts::Accounts;
use crate::exec::SampledRow;
use crate::report::Sample;

/// How far a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QueryState {
    /// It runs.
    Running,
    /// It ended by itself, with all rows.
    Finished,
    /// It ended with an error.
    Failed,
    /// It was cancelled, timed out, or was dropped before its end.
    Cancelled,
}

/// A query in a list. All can be written as JSON by serde.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuerySummary {
    /// Names the query among all of its home, those of other processes and earlier ones too.
    pub id: String,
    /// The name that the application gave it.
    pub name: Option<String>,
    /// The statement, or its first 10,000 characters.
    pub text: String,
    /// How far it is.
    pub state: QueryState,
    /// Why it failed; of one that was cancelled, what it has finished, if it can be continued.
    pub error: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// From there to its end, or until now.
    pub seconds: f64,
    /// Rows of its result so far; for COPY and INSERT rows that were written.
    pub rows: u64,
    /// Images that were decoded for models; for models of numbers, and without models, rows.
    pub images: u64,
    /// Whether `images` are images.
    pub has_images: bool,
    /// `images` by `seconds`.
    pub images_per_second: f64,
    /// The share that is done, 0 to 1, where the total is known.
    pub share: Option<f64>,
    /// What is left at this speed, where the total is known.
    pub seconds_left: Option<f64>,
    /// Predictions that are errors.
    pub failed_rows: u64,
    /// The stages in the order that an image passes them.
    pub stages: Vec<StageProgress>,
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageProgress {
    /// Its name, such as `read` or `inferred`.
    pub stage: String,
    /// Files, rows or images.
    pub done: u64,
    /// The final value of `done`, once it is known.
    pub total: Option<u64>,
}

/// All that is known of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryDetails {
    /// What a list says of it.
    #[serde(flatten)]
    pub summary: QuerySummary,
    /// What its time and memory went to.
    pub accounts: Accounts,
    /// The stage that holds up the others, as named in `accounts`.
    pub bottleneck: Option<&'static str>,
    /// Its operators, from the result down.
    pub plan: Vec<PlanNode>,
    /// Names of `busy_seconds` of `samples`.
    pub sampled_stages: Vec<&'static str>,
    /// Moments of its run, if a dashboard was open.
    pub samples: Vec<Sample>,
    /// Errors by kind, most frequent first, if a dashboard was open.
    pub errors: Vec<ErrorExample>,
    /// The last rows that failed, last first, at most 100, if a dashboard was open.
    pub latest_errors: Vec<LatestError>,
    /// The images that took longest to decode, if a dashboard was open.
    pub slowest_images: Vec<SlowImage>,
    /// The first rows of its result.
    pub results: ResultSample,
    /// Up to 100 rows with images, evenly over the run, with what models said of them, last first, if a dashboard was open.
    pub sampled_rows: Vec<SampledRow>,
}

/// A row that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatestError {
    /// How many errors of the query came before.
    pub number: u64,
    /// Its name, such as the path of its image, if it has one.
    pub name: Option<String>,
    /// Where it failed: `list`, `read`, `crash`, `decode`, `function`, `preprocess`, `infer` or `postprocess`.
    pub stage: String,
    /// Why.
    pub error: String,
    /// The model that failed on it, if one did.
    pub model: Option<String>,
}

/// Errors that differ in names and numbers at most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorExample {
    /// What they have in common.
    pub kind: String,
    /// How many there were.
    pub count: u64,
    /// The name of one such row, such as the path of its image.
    pub name: String,
    /// Its error in full.
    pub error: String,
}

/// An image that took long to decode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlowImage {
    /// The row's name, such as the path of the image.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}
