//! The operators of a plan, with what their metrics say.

use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use itertools::Itertools;
use serde::Serialize;

/// One operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Operator {
    /// How many operators are above it.
    pub(crate) depth: usize,
    /// Its line in EXPLAIN.
    pub(crate) line: String,
    /// The rows that it gave.
    pub(crate) rows: Option<u64>,
    /// Its times, summed over partitions, longest first.
    pub(crate) seconds: Vec<(String, f64)>,
}

/// The operators of `plan`, from its result down.
pub(crate) fn operators(plan: &dyn ExecutionPlan) -> Vec<Operator> {
    let mut all = vec![];
    add(plan, 0, &mut all);
    all
}

fn add(plan: &dyn ExecutionPlan, depth: usize, all: &mut Vec<Operator>) {
    let metrics = plan.metrics();
    all.push(Operator {
        depth,
        line: Line(plan).to_string(),
        rows: metrics.as_ref().and_then(MetricsSet::output_rows).map(|rows| rows as u64),
        seconds: metrics.as_ref().map(times).unwrap_or_default(),
    });
    plan.children().into_iter().for_each(|child| add(child.as_ref(), depth + 1, all));
}

fn times(metrics: &MetricsSet) -> Vec<(String, f64)> {
    let time = |value: &MetricValue| match value {
        MetricValue::Time { name, time } => Some((name.to_string(), time.value())),
        MetricValue::ElapsedCompute(time) => Some(("elapsed_compute".to_owned(), time.value())),
        _ => None,
    };
    let times = metrics.iter().filter_map(|metric| time(metric.value()));
    let sums = times.filter(|(_, nanoseconds)| *nanoseconds > 0).into_grouping_map().sum();
    let seconds = sums.into_iter().map(|(name, nanoseconds)| (name, nanoseconds as f64 / 1e9));
    seconds.sorted_by(|(name, one), (other, two)| two.total_cmp(one).then(name.cmp(other))).collect()
}

/// An operator as EXPLAIN shows it.
struct Line<'a>(&'a dyn ExecutionPlan);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_as(DisplayFormatType::Default, f)
    }
}
