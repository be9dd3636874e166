//! Limits on the failed rows of a query, whose tasks each count their own.
//!
//! ```text
//!  executor: operators and functions of a task ─► QueryFailures, among the settings of the task
//!                                                   ├─ more than max_errors of one task: it fails, and the query with it
//!                                                   └─ CountFailedExec, above the task ─ metrics ─► scheduler
//!  client: Limits, on the sum of all tasks, as they end and before a row is passed on ◄─────────────┘
//! ```
//!
//! The scheduler keeps the metrics of a task by its partition, so that those of a task that is repeated take the place of the
//! former. A share is known at the end: of the first rows of a query another share may fail.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::union::UnionExec;
use seequel_cluster::{JobProgress, JobStage};

use super::dealt::ends_stage;
use super::task::{COUNTED, CountFailedExec, EXAMPLE, FAILED, ROWS};
use crate::Error;
use crate::config::InferenceOptions;
use crate::failures::{FailedCount, QueryFailures};

/// The limits of a query that has any, and the failed rows that the client has found itself.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    failures: QueryFailures,
    options: InferenceOptions,
}

impl Limits {
    /// Those of a query that is planned with these settings.
    pub(super) fn of(settings: &ConfigOptions) -> Option<Self> {
        let options = InferenceOptions::of(settings);
        let has_any = options.max_errors.is_some() || options.max_error_ratio.is_some();
        has_any.then(|| Self { failures: QueryFailures::of(settings), options })
    }

    /// Checks the number of failed rows while tasks run.
    ///
    /// # Errors
    /// More than the query may have.
    pub(super) fn check_running(&self, progress: &JobProgress) -> Result<()> {
        let options = InferenceOptions { max_error_ratio: None, ..self.options.clone() };
        self.failures.check_with(sum(&progress.stages), &options)
    }

    /// Checks number and share when all tasks have ended.
    ///
    /// # Errors
    /// More than the query may have; tasks that have not told what they counted.
    pub(super) fn check_ended(&self, progress: &JobProgress) -> Result<()> {
        let stages = &progress.stages;
        let is_known = |stage: &JobStage| count(stage, COUNTED) == u64::from(stage.tasks);
        let last = stages.iter().map(|stage| stage.id as usize).max();
        if last != Some(stages.len()) || !stages.iter().all(is_known) {
            let reason = "the scheduler does not tell how many rows have failed, so that inference.max_errors and \
                          inference.max_error_ratio can't be checked; run the statement again";
            return Err(Error::Cluster(reason.to_owned()).into());
        }
        self.failures.check_with(sum(stages), &self.options)
    }
}

/// The settings of tasks: none of them knows the share of the query.
pub(super) fn settings_of_tasks(settings: &ConfigOptions) -> ConfigOptions {
    let mut settings = settings.clone();
    let options = InferenceOptions { max_error_ratio: None, ..InferenceOptions::of(&settings) };
    settings.extensions.insert(options);
    settings
}

fn sum(stages: &[JobStage]) -> FailedCount {
    let all = |name| stages.iter().map(|stage| count(stage, name)).sum();
    let metrics =
        stages.iter().flat_map(|stage| &stage.operators).flat_map(|operator| operator.metrics.iter());
    let example = metrics.filter_map(|metric| metric.value().name().strip_prefix(EXAMPLE).map(str::to_owned));
    FailedCount { rows: all(ROWS), failed: all(FAILED), example: example.last() }
}

fn count(stage: &JobStage, name: &str) -> u64 {
    stage.operators.iter().map(|operator| operator.count(name)).sum()
}

/// `plan` with what tells how many rows of each task have failed, above each stage.
///
/// # Errors
/// A bug: an operator that refuses its own inputs.
pub(super) fn counted(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let counted = plan.transform_up(|node| {
        // A branch of a union may be a stage of its own, too.
        if ends_stage(&node).is_none() && !node.is::<UnionExec>() {
            return Ok(Transformed::no(node));
        }
        let inputs = node.children().into_iter().cloned().map(above).collect();
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Transformed::yes(node.replace_children(inputs, options)?))
    })?;
    Ok(above(counted.data))
}

/// What tells it of the stage that ends with `plan`.
fn above(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.is::<CountFailedExec>() { plan } else { Arc::new(CountFailedExec::new(plan)) }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet};
    use seequel_cluster::JobOperator;

    use super::*;

    /// A stage whose tasks have told these numbers of rows, and of failed ones.
    fn stage(id: u32, tasks: u32, told: &[(u64, u64)]) -> JobStage {
        let mut metrics = MetricsSet::new();
        for (partition, (rows, failed)) in told.iter().enumerate() {
            for (name, number) in [(COUNTED, 1), (ROWS, *rows), (FAILED, *failed), ("failed: a.jpg: cut", 1)]
            {
                let count = Count::new();
                count.add(number as usize);
                let value = MetricValue::Count { name: name.into(), count };
                metrics.push(Arc::new(Metric::new(value, Some(partition))));
            }
        }
        let (name, line) = ("CountFailedExec".to_owned(), String::new());
        JobStage { id, tasks, ended: tasks, operators: vec![JobOperator { depth: 0, name, line, metrics }] }
    }

    fn limits(max_errors: Option<u64>, max_error_ratio: Option<f64>) -> Limits {
        let options = InferenceOptions { max_errors, max_error_ratio, ..InferenceOptions::default() };
        Limits { failures: QueryFailures::default(), options }
    }

    #[test]
    fn all_tasks_of_all_stages_are_added_up() {
        let stages = vec![stage(1, 2, &[(90, 3), (10, 4)]), stage(2, 1, &[(100, 5)])];
        let progress = JobProgress { stages, waiting: 0 };
        assert!(limits(Some(12), Some(0.06)).check_ended(&progress).is_ok());
        let error = limits(Some(11), None).check_ended(&progress).unwrap_err().to_string();
        assert!(error.contains("12 failed row(s)") && error.contains("the last is a.jpg: cut"), "{error}");
        let limits = limits(None, Some(0.05));
        let error = limits.check_ended(&progress).unwrap_err().to_string();
        assert!(error.contains("12 of 200 rows"), "{error}");
        assert!(limits.check_running(&progress).is_ok(), "other tasks may have fewer");
    }

    #[test]
    fn counts_that_are_missing_are_not_taken_for_none() {
        for stages in [
            vec![],
            vec![stage(1, 3, &[(1, 0), (1, 0)])],
            vec![stage(2, 1, &[(1, 0)])],
            vec![stage(1, 1, &[(1, 0)]), stage(2, 1, &[])],
        ] {
            let progress = JobProgress { stages, waiting: 0 };
            let error = limits(Some(9), None).check_ended(&progress).unwrap_err().to_string();
            assert!(error.contains("does not tell how many rows have failed"), "{error}");
        }
    }
}
