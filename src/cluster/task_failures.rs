//! The failed rows of a query, whose tasks each tell their own: limits on their number, and their list.
//!
//! ```text
//!  executor: operators and functions of a task ─► QueryFailures, among the settings of the task
//!                                                   ├─ more than max_errors of one task: it fails, and the query with it
//!                                                   └─ TellFailedExec, above the task ─ metrics ─► scheduler
//!  client: TaskFailures, of all tasks, as they end and before a row is passed on ◄──────────────────────┘
//!            ├─ more than the query may have: an error
//!            └─ QueryFailures of the query ─► the errors file of COPY, the record of a query that is looked at
//! ```
//!
//! The scheduler keeps the metrics of a task by its partition, so that those of a task that is repeated take the place of the
//! former. A share is known at the end: of the first rows of a query another share may fail.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::union::UnionExec;
use parking_lot::Mutex;
use seequel_cluster::{JobProgress, JobStage, LIST};

use super::dealt::ends_stage;
use super::task::{COUNTED, EXAMPLE, FAILED, LISTED_BYTES, MOST_LISTED, ROWS, TellFailedExec, listed};
use crate::Error;
use crate::config::InferenceOptions;
use crate::exec::RowRecord;
use crate::failures::{FailedCount, FailedRow, QueryFailures};

/// The failed rows of a query that has limits on them, or of which each is told; and those that the client has found itself.
#[derive(Debug, Clone)]
pub(super) struct TaskFailures {
    failures: QueryFailures,
    options: InferenceOptions,
    /// What is recorded of a query that is looked at.
    record: Option<RowRecord>,
    /// Whether tasks list theirs.
    lists: bool,
    /// The lists of the tasks that have ended, as names of metrics, and how many tasks have told the same.
    listed: Arc<Mutex<Vec<(String, usize)>>>,
}

impl TaskFailures {
    /// Those of a query that is planned with these settings, if anybody asks for them.
    pub(super) fn of(settings: &ConfigOptions) -> Option<Self> {
        let (options, failures) = (InferenceOptions::of(settings), QueryFailures::of(settings));
        let record = RowRecord::of(settings);
        let lists = record.is_some() || failures.are_listed();
        let failures = Self { failures, options, record, lists, listed: Arc::default() };
        (lists || failures.are_limited()).then_some(failures)
    }

    /// Whether a query that has too many fails.
    pub(super) fn are_limited(&self) -> bool {
        self.options.max_errors.is_some() || self.options.max_error_ratio.is_some()
    }

    /// The settings of tasks: none of them knows the share of the query, and one that lists its failed rows goes on, so that the
    /// list is told.
    pub(super) fn settings_of_tasks(of: Option<&Self>, settings: &ConfigOptions) -> ConfigOptions {
        let mut settings = settings.clone();
        let options = InferenceOptions { max_error_ratio: None, ..InferenceOptions::of(&settings) };
        let max_errors = options.max_errors.filter(|_| !of.is_some_and(|failures| failures.lists));
        settings.extensions.insert(InferenceOptions { max_errors, ..options });
        settings
    }

    /// `plan` with what tells how many rows of each task have failed, above each stage.
    ///
    /// # Errors
    /// A bug: an operator that refuses its own inputs.
    pub(super) fn told_by(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let above = |plan: Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
            if plan.is::<TellFailedExec>() { plan } else { Arc::new(TellFailedExec::new(plan, self.lists)) }
        };
        let told = plan.transform_up(|node| {
            // A branch of a union may be a stage of its own, too.
            if ends_stage(&node).is_none() && !node.is::<UnionExec>() {
                return Ok(Transformed::no(node));
            }
            let inputs = node.children().into_iter().cloned().map(above).collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(node.replace_children(inputs, options)?))
        })?;
        Ok(above(told.data))
    }

    /// Takes the lists from what is known of the query while it runs or when it has ended. It does not go on if more rows have
    /// failed than may.
    pub(super) fn see(&self, progress: &mut JobProgress) -> ControlFlow<()> {
        let operators = progress.stages.iter_mut().flat_map(|stage| &mut stage.operators);
        let lists = operators.flat_map(|operator| take_lists(&mut operator.metrics)).collect();
        *self.listed.lock() = lists;
        match self.check_running(progress) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Checks the number of failed rows while tasks run.
    ///
    /// # Errors
    /// More than the query may have, or than can be listed.
    pub(super) fn check_running(&self, progress: &JobProgress) -> Result<()> {
        let options = InferenceOptions { max_error_ratio: None, ..self.options.clone() };
        self.failures.check_with(sum(&progress.stages), &options)?;
        let bytes: u64 = progress.stages.iter().map(|stage| count(stage, LISTED_BYTES)).sum();
        if bytes > MOST_LISTED && self.failures.are_listed() {
            let reason = format!(
                "more rows have failed than a job lists: {} MB of paths and errors; COPY with the option 'resume' \
                 lists any number, and SET inference.max_errors ends a query sooner",
                bytes / 1_000_000
            );
            return Err(Error::Cluster(reason).into());
        }
        Ok(())
    }

    /// Checks number and share when all tasks have ended.
    ///
    /// # Errors
    /// More than the query may have, or than can be listed; tasks that have not told what they counted.
    pub(super) fn check_ended(&self, progress: &JobProgress) -> Result<()> {
        // What is recorded of a query decides nothing.
        if !self.are_limited() && !self.failures.are_listed() {
            return Ok(());
        }
        let stages = &progress.stages;
        let is_known = |stage: &JobStage| count(stage, COUNTED) == u64::from(stage.tasks);
        let last = stages.iter().map(|stage| stage.id as usize).max();
        if last != Some(stages.len()) || !stages.iter().all(is_known) {
            let reason = "the scheduler does not tell which rows have failed, so that they can't be listed, nor \
                          inference.max_errors and inference.max_error_ratio be checked; run the statement again";
            return Err(Error::Cluster(reason.to_owned()).into());
        }
        self.check_running(progress)?;
        self.failures.check_with(sum(stages), &self.options)
    }

    /// Tells of the failed rows of the tasks that have ended, and lists those that were found while the query was planned.
    ///
    /// # Errors
    /// A list of another version; a bug: a thread that panics.
    pub(super) async fn tell(&self) -> Result<()> {
        if !self.lists {
            return Ok(());
        }
        let (failures, record) = (self.failures.clone(), self.record.clone());
        let lists = std::mem::take(&mut *self.listed.lock());
        let telling = SpawnedTask::spawn_blocking(move || {
            failures.list(failures.take_early());
            for (list, times) in lists {
                let rows = listed(&list)?;
                for _ in 0..times {
                    if let Some(record) = &record {
                        let name = |row: &FailedRow| Ok(row.path.clone().unwrap_or_default());
                        rows.iter().try_for_each(|row| record.add_error(&row.error, || name(row)))?;
                    }
                    failures.pass_on(rows.clone());
                }
            }
            Ok(())
        });
        telling.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
    }
}

/// The lists among the metrics, which are left without.
fn take_lists(metrics: &mut MetricsSet) -> Vec<(String, usize)> {
    let (mut lists, mut others) = (vec![], MetricsSet::new());
    for metric in metrics.iter() {
        match metric.value() {
            value if value.name().starts_with(LIST) => {
                lists.push((value.name().to_owned(), value.as_usize()))
            }
            _ => others.push(Arc::clone(metric)),
        }
    }
    *metrics = others;
    lists
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
        let (name, line) = ("TellFailedExec".to_owned(), String::new());
        JobStage { id, tasks, ended: tasks, operators: vec![JobOperator { depth: 0, name, line, metrics }] }
    }

    fn limits(max_errors: Option<u64>, max_error_ratio: Option<f64>) -> TaskFailures {
        let options = InferenceOptions { max_errors, max_error_ratio, ..InferenceOptions::default() };
        let failures = QueryFailures::default();
        TaskFailures { failures, options, record: None, lists: true, listed: Arc::default() }
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
            assert!(error.contains("does not tell which rows have failed"), "{error}");
        }
    }

    #[tokio::test]
    async fn lists_are_taken_from_the_metrics_and_told_as_often_as_they_came() -> Result<()> {
        let (mut failures, mut stage) = (limits(None, None), stage(1, 2, &[(5, 2), (5, 2)]));
        let row = r#"{"path":null,"stage":"decode","error":"cut","model":null}"#;
        let count = Count::new();
        count.add(2);
        let list = MetricValue::Count { name: format!("{LIST}{row}\n{row}\n").into(), count };
        stage.operators[0].metrics.push(Arc::new(Metric::new(list, None)));
        let mut progress = JobProgress { stages: vec![stage], waiting: 0 };
        let listed = failures.failures.listen();
        failures.record = Some(RowRecord::default());
        assert!(failures.see(&mut progress).is_continue());
        assert_eq!(progress.stages[0].operators[0].metrics.iter().count(), 8, "no list is left");
        failures.tell().await?;
        failures.failures.end_listing();
        assert_eq!(listed.iter().filter(|row| row.error == "cut").count(), 4);
        let kinds = failures.record.unwrap().rows().errors;
        assert_eq!(kinds.values().map(|kind| kind.count).collect::<Vec<_>>(), [4]);
        Ok(())
    }

    #[test]
    fn more_rows_than_a_list_has_room_for_end_a_query_that_lists_them() {
        let (failures, mut stage) = (limits(None, None), stage(1, 1, &[(5, 2)]));
        let count = Count::new();
        count.add(usize::try_from(MOST_LISTED).unwrap() + 1);
        let bytes = MetricValue::Count { name: LISTED_BYTES.into(), count };
        stage.operators[0].metrics.push(Arc::new(Metric::new(bytes, None)));
        let mut progress = JobProgress { stages: vec![stage], waiting: 0 };
        assert!(failures.see(&mut progress).is_continue(), "it is recorded at most");
        let _listed = failures.failures.listen();
        assert!(failures.see(&mut progress).is_break());
        let error = failures.check_ended(&progress).unwrap_err().to_string();
        assert!(error.contains("67 MB of paths and errors") && error.contains("'resume'"), "{error}");
    }
}
