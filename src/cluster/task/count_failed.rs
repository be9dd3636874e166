//! Tells how many rows of a task have failed: see `cluster/limits.rs`.

use std::fmt;
use std::sync::Arc;

use datafusion::common::assert_eq_or_internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use parking_lot::Mutex;

use crate::failures::{FailedCount, QueryFailures};

/// Metrics of a task: that it counts, the rows that it has inferred, those that have failed, and one of the latter.
pub(in crate::cluster) const COUNTED: &str = "counted_tasks";
pub(in crate::cluster) const ROWS: &str = "rows_of_limit";
pub(in crate::cluster) const FAILED: &str = "failed_of_limit";
pub(in crate::cluster) const EXAMPLE: &str = "failed: ";
/// Characters of what is told of a row.
const EXAMPLE_CHARACTERS: usize = 400;

/// Passes on the rows of a task, and tells how many have failed.
#[derive(Debug)]
pub(in crate::cluster) struct CountFailedExec {
    input: Arc<dyn ExecutionPlan>,
    /// The partition that runs, and what its operators report to.
    running: Mutex<Option<(usize, QueryFailures)>>,
}

impl CountFailedExec {
    pub(in crate::cluster) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, running: Mutex::default() }
    }
}

impl DisplayAs for CountFailedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "CountFailedExec"),
            DisplayFormatType::TreeRender => Ok(()),
        }
    }
}

impl ExecutionPlan for CountFailedExec {
    fn name(&self) -> &'static str {
        "CountFailedExec"
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
        assert_eq_or_internal_err!(children.len(), 1, "CountFailedExec has one input");
        Ok(Arc::new(Self::new(children.swap_remove(0))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let failures = QueryFailures::of(context.session_config().options());
        // A task has one for each of its unions, and the upper ones begin first.
        if failures.is_first_to_tell() {
            *self.running.lock() = Some((partition, failures));
        }
        self.input.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = MetricsSet::new();
        if let Some((partition, failures)) = &*self.running.lock() {
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
