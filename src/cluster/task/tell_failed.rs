//! Tells which rows of a task have failed: see `cluster/task_failures.rs`.

use std::fmt;
use std::sync::Arc;

use datafusion::common::assert_eq_or_internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use parking_lot::Mutex;
use seequel_cluster::LIST;

use crate::failures::{FailedCount, FailedRow, Listener, QueryFailures};

/// Metrics of a task: that it counts, the rows that it has inferred, those that have failed, one of the latter, and the bytes
/// of their list.
pub(in crate::cluster) const COUNTED: &str = "counted_tasks";
pub(in crate::cluster) const ROWS: &str = "rows_of_limit";
pub(in crate::cluster) const FAILED: &str = "failed_of_limit";
pub(in crate::cluster) const EXAMPLE: &str = "failed: ";
pub(in crate::cluster) const LISTED_BYTES: &str = "listed_bytes";
/// Characters of what is told of a row.
const EXAMPLE_CHARACTERS: usize = 400;
/// Bytes of the lists of a query, which the scheduler holds in memory until it forgets the job: about 400,000 failed rows.
pub(in crate::cluster) const MOST_LISTED: u64 = 64 << 20;

/// Passes on the rows of a task, and tells how many have failed, or which.
#[derive(Debug)]
pub(in crate::cluster) struct TellFailedExec {
    input: Arc<dyn ExecutionPlan>,
    /// Whether each is listed.
    lists: bool,
    running: Mutex<Option<Running>>,
}

/// The partition that runs, and what its operators report to.
#[derive(Debug)]
struct Running {
    partition: usize,
    failures: QueryFailures,
    list: Arc<List>,
}

impl TellFailedExec {
    pub(in crate::cluster) fn new(input: Arc<dyn ExecutionPlan>, lists: bool) -> Self {
        Self { input, lists, running: Mutex::default() }
    }

    /// Whether each failed row is listed.
    pub(in crate::cluster) fn lists(&self) -> bool {
        self.lists
    }
}

/// The failed rows of a task, each as a line of JSON.
#[derive(Debug, Default)]
struct List(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Also of lines for which there was no room.
    bytes: u64,
}

impl Listener for List {
    fn failed(&self, row: FailedRow) {
        // The row has no part that JSON can't hold.
        let line = serde_json::to_string(&row).unwrap_or_default();
        let mut lines = self.0.lock();
        lines.bytes += line.len() as u64 + 1;
        if lines.bytes <= MOST_LISTED {
            lines.text.push_str(&line);
            lines.text.push('\n');
        }
    }
}

/// The rows of a list that a metric of this name is.
///
/// # Errors
/// A list that another version has written.
pub(in crate::cluster) fn listed(metric: &str) -> Result<Vec<FailedRow>> {
    let lines = metric.strip_prefix(LIST).unwrap_or_default().lines();
    let rows = lines.map(serde_json::from_str).collect::<Result<_, _>>();
    rows.map_err(|error| DataFusionError::External(Box::new(error)))
}

impl DisplayAs for TellFailedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "TellFailedExec"),
            DisplayFormatType::TreeRender => Ok(()),
        }
    }
}

impl ExecutionPlan for TellFailedExec {
    fn name(&self) -> &'static str {
        "TellFailedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_eq_or_internal_err!(children.len(), 1, "TellFailedExec has one input");
        Ok(Arc::new(Self::new(children.swap_remove(0), self.lists)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let failures = QueryFailures::of(context.session_config().options());
        // A task has one for each of its unions, and the upper ones begin first.
        if failures.is_first_to_tell() {
            let list = Arc::new(List::default());
            if self.lists {
                failures.tell(Arc::clone(&list) as Arc<dyn Listener>);
            }
            *self.running.lock() = Some(Running { partition, failures, list });
        }
        self.input.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = MetricsSet::new();
        if let Some(Running { partition, failures, list }) = &*self.running.lock() {
            let mut add = |name: String, number: u64| {
                let count = Count::new();
                count.add(usize::try_from(number).unwrap_or(usize::MAX));
                let value = MetricValue::Count { name: name.into(), count };
                metrics.push(Arc::new(Metric::new(value, Some(*partition))));
            };
            let FailedCount { rows, failed, example } = failures.count();
            add(COUNTED.to_owned(), 1);
            add(ROWS.to_owned(), rows);
            add(FAILED.to_owned(), failed);
            if self.lists {
                let lines = list.0.lock();
                add(LISTED_BYTES.to_owned(), lines.bytes);
                if !lines.text.is_empty() {
                    add(format!("{LIST}{}", lines.text), 1);
                }
            }
            if let Some(example) = example {
                add(EXAMPLE.chars().chain(example.chars().take(EXAMPLE_CHARACTERS)).collect(), 1);
            }
        }
        Some(metrics)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::Stage;

    #[test]
    fn a_list_is_bounded_and_counts_what_has_no_room() -> Result<()> {
        let row = |error: String| FailedRow {
            path: Some("a\n.jpg".to_owned()),
            stage: Stage::Read,
            error,
            model: None,
        };
        let list = List::default();
        list.failed(row("gone".to_owned()));
        list.failed(row("x".repeat(usize::try_from(MOST_LISTED).unwrap())));
        list.failed(row("gone".to_owned()));
        let Lines { text, bytes } = list.0.into_inner();
        assert_eq!(listed(&format!("{LIST}{text}"))?, [row("gone".to_owned())]);
        assert!(bytes > MOST_LISTED);
        Ok(())
    }
}
