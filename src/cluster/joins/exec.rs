//! A join that Ballista leaves as it was planned.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, OrderingRequirements};
use datafusion::physical_plan::InputDistributionRequirements;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, StatisticsArgs,
};

/// Runs a join of DataFusion's, of which Ballista's planner knows no more than what it requires of its inputs.
#[derive(Debug)]
pub(in crate::cluster) struct JoinTaskExec {
    join: Arc<dyn ExecutionPlan>,
    /// Whether one task has all of both sides. Without a requirement that says so, Ballista would remove what gathers them.
    in_one_task: bool,
}

impl JoinTaskExec {
    /// # Errors
    /// A bug: an operator that is no join.
    pub(in crate::cluster) fn try_new(join: Arc<dyn ExecutionPlan>, in_one_task: bool) -> Result<Self> {
        match is_join(&join) {
            true => Ok(Self { join, in_one_task }),
            false => internal_err!("{} is no join", join.name()),
        }
    }

    pub(in crate::cluster) fn in_one_task(&self) -> bool {
        self.in_one_task
    }

    /// The join over inputs without rows, for a message that has no inputs.
    ///
    /// # Errors
    /// A bug: inputs that the join does not take.
    pub(in crate::cluster) fn without_inputs(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let empty = |input: &Arc<dyn ExecutionPlan>| Arc::new(EmptyExec::new(input.schema())) as _;
        with_inputs(&self.join, self.join.children().into_iter().map(empty).collect())
    }

    /// The join of a message over `inputs`.
    ///
    /// # Errors
    /// A message of something else, or inputs that the join does not take.
    pub(in crate::cluster) fn over(
        join: &Arc<dyn ExecutionPlan>,
        inputs: &[Arc<dyn ExecutionPlan>],
        in_one_task: bool,
    ) -> Result<Self> {
        let same = |(sent, input): (&Arc<dyn ExecutionPlan>, &Arc<dyn ExecutionPlan>)| {
            sent.schema().fields() == input.schema().fields()
        };
        if !is_join(join) || inputs.len() != 2 || !join.children().into_iter().zip(inputs).all(same) {
            return internal_err!("{} over inputs of other columns", join.name());
        }
        Self::try_new(with_inputs(join, inputs.to_vec())?, in_one_task)
    }
}

/// Whether Ballista would plan an operator again.
pub(super) fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>()
}

fn with_inputs(
    join: &Arc<dyn ExecutionPlan>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(join).replace_children(inputs, options)
}

impl DisplayAs for JoinTaskExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(format, DisplayFormatType::TreeRender) {
            write!(f, "JoinTaskExec: ")?;
        }
        self.join.fmt_as(format, f)
    }
}

impl ExecutionPlan for JoinTaskExec {
    fn name(&self) -> &'static str {
        "JoinTaskExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.join.children()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        match self.in_one_task {
            true => InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2]),
            false => self.join.input_distribution_requirements(),
        }
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.join.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.join.maintains_input_order()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; 2]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let join = Arc::clone(&self.join).replace_children(children, options)?;
        Ok(Arc::new(Self::try_new(join, self.in_one_task)?))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.join.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.join.metrics()
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.join.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.join.statistics_from_inputs(inputs, arguments)
    }
}
