//! The progress and inference of a query: the metrics of its operators, summed by stage.
//!
//! ```text
//!  DataSinkExec ──────────► written
//!    InferExec ───────────► decoded, inferred
//!      InferExchangeExec
//!        ImagesExec ──────► listed, read          other scans ──► read
//! ```
//!
//! The operators maintain these metrics anyway, so that progress costs a query nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::union::UnionExec;

use crate::exec::InferExec;
use crate::images::listing::{REASONS, metric_of};
use crate::images::scan::ImagesExec;

/// The progress of a query, in numbers. Cloning is cheap; clones show the same query, during its run and after it.
///
/// ```
/// # use datafusion::physical_plan::ExecutionPlan;
/// # use std::sync::Arc;
/// use seequel::{QueryProgress, Stage};
///
/// /// The share of images that are inferred, 0 to 1, once their number is known.
/// fn share(plan: &Arc<dyn ExecutionPlan>) -> Option<f64> {
///     let inferred = *QueryProgress::new(plan).stages().get(&Stage::Inferred)?;
///     Some(inferred.done as f64 / inferred.total? as f64)
/// }
/// ```
///
/// [`Query::progress`](crate::Query::progress) gives that of a running query.
#[derive(Debug, Clone)]
pub struct QueryProgress {
    plan: Arc<dyn ExecutionPlan>,
}

impl QueryProgress {
    /// The progress of a plan, which must be the very plan that is executed.
    #[must_use]
    pub fn new(plan: &Arc<dyn ExecutionPlan>) -> Self {
        Self { plan: Arc::clone(plan) }
    }

    /// The stages of the query in order, each summed over all operators. They are the same from the start to the end.
    #[must_use]
    pub fn stages(&self) -> BTreeMap<Stage, Count> {
        stages(self.plan.as_ref())
    }

    /// The query's inference so far; `None` if it has none.
    #[must_use]
    pub fn inference(&self) -> Option<Inference> {
        inference(self.plan.as_ref())
    }

    /// The files of its folders that the query skipped so far, because they are no images.
    #[must_use]
    pub fn skipped_files(&self) -> u64 {
        skipped_files(self.plan.as_ref())
    }

    /// Whether both are of the same query.
    #[cfg(feature = "shell")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }
}

/// The stages of processing an image, in order. Its [`Display`](fmt::Display) is one lower-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Files found at the location.
    Listed,
    /// Files opened, or rows of a table other than a folder of images.
    Read,
    /// Images decoded.
    Decoded,
    /// Rows that models ran on, counted once per model.
    Inferred,
    /// Tasks of a query on a cluster.
    Tasks,
    /// Rows passed to the writer of a file or table.
    Written,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listed => "listed",
            Self::Read => "read",
            Self::Decoded => "decoded",
            Self::Inferred => "inferred",
            Self::Tasks => "tasks",
            Self::Written => "written",
        })
    }
}

/// The progress of one stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// What is done: files, rows or images, by stage.
    pub done: u64,
    /// The final value of `done`, once it is known: when the listing has ended, or from the row counts of Parquet
    /// files.
    pub total: Option<u64>,
}

impl Count {
    /// The sum of both; the total is known only if both totals are.
    fn and(self, other: Self) -> Self {
        let total = self.total.zip(other.total).map(|(one, other)| one + other);
        Self { done: self.done + other.done, total }
    }
}

/// The stages of a running plan, each summed over all operators.
pub(crate) fn stages(plan: &dyn ExecutionPlan) -> BTreeMap<Stage, Count> {
    let mut counts = BTreeMap::new();
    add_stages(plan, &mut counts);
    counts
}

fn add_stages(plan: &dyn ExecutionPlan, counts: &mut BTreeMap<Stage, Count>) {
    let mut add = |stage: Stage, count: Count| {
        counts.entry(stage).and_modify(|sum| *sum = sum.and(count)).or_insert(count);
    };
    if ELSEWHERE.contains(&plan.name()) {
        elsewhere(plan).into_iter().for_each(|(stage, count)| add(stage, count));
        return;
    }
    let children = below(plan);
    if let Some(images) = plan.downcast_ref::<ImagesExec>() {
        let total = total_rows(plan);
        let done = metric(plan, "listed_files");
        add(Stage::Listed, Count { done, total: total.map(|_| done) });
        if images.opens_files() {
            let done = metric(plan, "opened_files") + metric(plan, "unreadable_files");
            add(Stage::Read, Count { done, total });
        }
    } else if children.is_empty() && !is_constant(plan) {
        add(Stage::Read, Count { done: rows_out(plan), total: total_rows(plan) });
    } else if let Some(infer) = plan.downcast_ref::<InferExec>() {
        let rows = total_rows(plan);
        if infer.has_images() {
            add(Stage::Decoded, Count { done: metric(plan, "decoded_images"), total: rows });
        }
        let done = metric(plan, "inferred_rows") + metric(plan, "failed_rows");
        add(Stage::Inferred, Count { done, total: rows.map(|rows| rows * infer.runs_a_row() as u64) });
    } else if let Some(sink) = plan.downcast_ref::<DataSinkExec>() {
        let input = sink.input().as_ref();
        add(Stage::Written, Count { done: rows_out(input), total: total_rows(input) });
    }
    for child in children {
        add_stages(child.as_ref(), counts);
    }
}

/// The operators of what runs on a cluster. They have counts of the stages there: `decoded`, and `decoded_total` once that is
/// known.
const ELSEWHERE: [&str; 2] = ["ClusterExec", "AttachExec"];

/// The stages of a plan on a cluster.
fn elsewhere(cluster: &dyn ExecutionPlan) -> BTreeMap<Stage, Count> {
    let metrics = cluster.metrics().unwrap_or_default();
    let value = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize() as u64);
    let stages = [Stage::Read, Stage::Decoded, Stage::Inferred, Stage::Tasks].into_iter();
    let counts = stages.filter_map(|stage| {
        let done = value(&stage.to_string())?;
        Some((stage, Count { done, total: value(&format!("{stage}_total")) }))
    });
    counts.collect()
}

/// The operators below one that run in this process.
fn below(plan: &dyn ExecutionPlan) -> Vec<&Arc<dyn ExecutionPlan>> {
    if ELSEWHERE.contains(&plan.name()) { vec![] } else { plan.children() }
}

/// Whether a leaf of a plan has nothing to read: `SELECT 1`, or the placeholder for an executed statement.
fn is_constant(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<EmptyExec>() || plan.is::<PlaceholderRowExec>()
}

/// The inference of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inference {
    /// Decoded images, however many models use them.
    pub images: u64,
    /// Rows that models without images ran on.
    pub rows: u64,
    /// Predictions that are errors.
    pub failed_rows: u64,
}

/// The sum over all operators that infer; `None` if there are none.
pub(crate) fn inference(plan: &dyn ExecutionPlan) -> Option<Inference> {
    if ELSEWHERE.contains(&plan.name()) {
        let stages = elsewhere(plan);
        let done = |stage: &Stage| stages.get(stage).map(|count| count.done);
        let (rows, failed_rows) = (done(&Stage::Inferred)?, metric(plan, "failed_rows"));
        let images = done(&Stage::Decoded);
        let rows = if images.is_some() { 0 } else { rows - failed_rows };
        return Some(Inference { images: images.unwrap_or_default(), rows, failed_rows });
    }
    let own = plan.downcast_ref::<InferExec>().map(|infer| Inference {
        images: metric(plan, "decoded_images"),
        rows: if infer.has_images() { 0 } else { metric(plan, "inferred_rows") },
        failed_rows: metric(plan, "failed_rows"),
    });
    let below = below(plan).into_iter().filter_map(|child| inference(child.as_ref()));
    own.into_iter().chain(below).reduce(|one, other| Inference {
        images: one.images + other.images,
        rows: one.rows + other.rows,
        failed_rows: one.failed_rows + other.failed_rows,
    })
}

/// The failed rows that an errors file lists.
pub(crate) fn listed_failures(plan: &dyn ExecutionPlan) -> u64 {
    let own = if plan.is::<DataSinkExec>() { metric(plan, "listed_failures") } else { 0 };
    own + below(plan).into_iter().map(|child| listed_failures(child.as_ref())).sum::<u64>()
}

/// The entries of folders that scans can't list, by reason.
pub(crate) fn unlisted_entries(plan: &dyn ExecutionPlan) -> BTreeMap<&'static str, u64> {
    let mut unlisted = BTreeMap::new();
    if plan.is::<ImagesExec>() {
        let counts = REASONS.into_iter().map(|reason| (reason, metric(plan, &metric_of(reason))));
        unlisted.extend(counts.filter(|(_, count)| *count > 0));
    }
    for (reason, count) in below(plan).into_iter().flat_map(|child| unlisted_entries(child.as_ref())) {
        *unlisted.entry(reason).or_default() += count;
    }
    unlisted
}

/// The files in folders that scans left out because they are not images by their names.
pub(crate) fn skipped_files(plan: &dyn ExecutionPlan) -> u64 {
    let own = if plan.is::<ImagesExec>() { metric(plan, "skipped_files") } else { 0 };
    own + below(plan).into_iter().map(|child| skipped_files(child.as_ref())).sum::<u64>()
}

/// The total output rows of a plan, if its scans know theirs already and no operator drops or adds rows.
fn total_rows(plan: &dyn ExecutionPlan) -> Option<u64> {
    if plan.is::<ImagesExec>() {
        // 0 until the listing has ended.
        return Some(metric(plan, "chosen_files")).filter(|files| *files > 0);
    }
    let children = below(plan);
    match children.as_slice() {
        [] => exact_rows(plan),
        [child] if plan.fetch().is_none() && is_one_to_one(plan) => total_rows(child.as_ref()),
        children if plan.is::<UnionExec>() => children.iter().map(|child| total_rows(child.as_ref())).sum(),
        _ => None,
    }
}

fn is_one_to_one(plan: &dyn ExecutionPlan) -> bool {
    matches!(plan.cardinality_effect(), CardinalityEffect::Equal)
}

/// Rows of a scan from exact statistics, such as those of Parquet files.
fn exact_rows(scan: &dyn ExecutionPlan) -> Option<u64> {
    let statistics = StatisticsContext::new().compute(scan, &StatisticsArgs::new()).ok()?;
    match statistics.num_rows {
        Precision::Exact(rows) => Some(rows as u64),
        Precision::Inexact(_) | Precision::Absent => None,
    }
}

/// The output rows of a plan so far.
pub(crate) fn rows_out(plan: &dyn ExecutionPlan) -> u64 {
    if let Some(rows) = plan.metrics().and_then(|metrics| metrics.output_rows()) {
        return rows as u64;
    }
    match plan.children().as_slice() {
        [child] if is_one_to_one(plan) => rows_out(child.as_ref()),
        _ => 0,
    }
}

fn metric(plan: &dyn ExecutionPlan, name: &str) -> u64 {
    let metrics: Option<_> = plan.metrics();
    metrics.and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |value| value.as_usize() as u64)
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::Engine;

    async fn run(context: &SessionContext, sql: &str) -> crate::Result<Arc<dyn ExecutionPlan>> {
        let plan = context.sql(sql).await?.create_physical_plan().await?;
        collect(Arc::clone(&plan), context.task_ctx()).await?;
        Ok(plan)
    }

    fn count(plan: &Arc<dyn ExecutionPlan>, stage: Stage) -> Option<(u64, Option<u64>)> {
        stages(plan.as_ref()).get(&stage).map(|count| (count.done, count.total))
    }

    #[tokio::test]
    async fn a_folder_is_listed_and_read_as_far_as_the_query_needs() -> crate::Result<()> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.jpg", "c.jpg"] {
            std::fs::write(folder.path().join(name), "no image").unwrap();
        }
        let engine = Engine::builder().build()?;
        let from = format!("FROM read_images('{}')", folder.path().display());
        let plan = run(engine.context(), &format!("SELECT path {from}")).await?;
        assert_eq!(count(&plan, Stage::Listed), Some((3, None)), "known when all is done");
        assert_eq!(count(&plan, Stage::Read), None);
        let plan = run(engine.context(), &format!("SELECT image {from} LIMIT 2")).await?;
        assert_eq!(count(&plan, Stage::Read), Some((2, Some(2))));
        assert_eq!(inference(plan.as_ref()), None);
        Ok(())
    }

    #[tokio::test]
    async fn constants_have_no_stages() -> crate::Result<()> {
        let plan = run(&SessionContext::new(), "SELECT now()").await?;
        assert_eq!(stages(plan.as_ref()), BTreeMap::new());
        Ok(())
    }

    #[tokio::test]
    async fn a_total_is_known_only_if_no_operator_drops_rows() -> crate::Result<()> {
        let context = SessionContext::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("numbers.parquet");
        run(&context, &format!("COPY (SELECT * FROM generate_series(1, 10)) TO '{}'", file.display()))
            .await?;
        context.register_parquet("numbers", file.display().to_string(), Default::default()).await?;
        let copy = |query: &str| format!("COPY ({query}) TO '{}'", folder.path().join("a.csv").display());
        let plan = run(&context, &copy("SELECT value + 1 FROM numbers")).await?;
        assert_eq!(count(&plan, Stage::Read), Some((10, Some(10))));
        assert_eq!(count(&plan, Stage::Written), Some((10, Some(10))));
        let union = "SELECT value FROM numbers UNION ALL SELECT value FROM numbers";
        assert_eq!(count(&run(&context, &copy(union)).await?, Stage::Written), Some((20, Some(20))));
        let plan = run(&context, &copy("SELECT value FROM numbers WHERE value % 2 = 0")).await?;
        assert_eq!(count(&plan, Stage::Written), Some((5, None)));
        Ok(())
    }
}
