//! How far a query on the cluster is, as its client sees it.

use std::ops::ControlFlow;
use std::sync::Arc;

use ballista_core::serde::protobuf::{OperatorMetricsSet, OperatorWithMetrics};
use datafusion::physical_plan::metrics::MetricsSet;

/// Is told how far a query is, and whether the query goes on. When it has ended, or does not go on, its lists are told, too:
/// [`LIST`].
pub type Watcher = Arc<dyn Fn(JobProgress) -> ControlFlow<()> + Send + Sync>;

/// How the name of a metric begins that is a list: the rest of its name, which may be long. While a query runs, none is told.
pub const LIST: &str = "list: ";

/// How far a query is: its tasks, and what those that have ended did.
#[derive(Debug, Clone, Default)]
pub struct JobProgress {
    /// The stages that run or have ended, first ones first.
    pub stages: Vec<JobStage>,
    /// Stages that wait for these.
    pub waiting: usize,
}

/// How far a stage is.
#[derive(Debug, Clone)]
pub struct JobStage {
    /// Its number in the job.
    pub id: u32,
    /// All of its tasks.
    pub tasks: u32,
    /// Those that have ended.
    pub ended: u32,
    /// From the top down.
    pub operators: Vec<JobOperator>,
}

/// What an operator did in the tasks that have ended.
#[derive(Debug, Clone)]
pub struct JobOperator {
    /// How many operators of its stage are above it.
    pub depth: u32,
    /// Its name, such as `FilterExec`.
    pub name: String,
    /// Its line in EXPLAIN.
    pub line: String,
    /// The sums over these tasks.
    pub metrics: MetricsSet,
}

impl JobOperator {
    /// The sum of its metrics of this name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.metrics.sum_by_name(name).map_or(0, |value| value.as_usize() as u64)
    }
}

impl JobProgress {
    /// The sum over all operators of the metrics of this name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.operators().map(|operator| operator.count(name)).sum()
    }

    /// The operators of all stages.
    pub fn operators(&self) -> impl Iterator<Item = &JobOperator> {
        self.stages.iter().flat_map(|stage| &stage.operators)
    }

    /// The tasks that have ended, and all once it is known how many there are.
    #[must_use]
    pub fn tasks(&self) -> (u64, Option<u64>) {
        let sum = |tasks: fn(&JobStage) -> u32| self.stages.iter().map(|stage| u64::from(tasks(stage))).sum();
        let all = (self.waiting == 0 && !self.stages.is_empty()).then(|| sum(|stage| stage.tasks));
        (sum(|stage| stage.ended), all)
    }

    /// Of stages in any order.
    pub(crate) fn sorted(mut stages: Vec<JobStage>) -> Self {
        stages.sort_by_key(|stage| stage.id);
        Self { stages, waiting: 0 }
    }
}

pub(crate) fn operator(message: OperatorWithMetrics) -> JobOperator {
    let OperatorWithMetrics { depth, operator_type, operator_desc, metrics } = message;
    let metrics: Result<MetricsSet, _> = OperatorMetricsSet { metrics }.try_into();
    JobOperator { depth, name: operator_type, line: operator_desc, metrics: metrics.unwrap_or_default() }
}
