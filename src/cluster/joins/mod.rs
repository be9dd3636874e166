//! Joins whose tasks share no memory.
//!
//! ```text
//!  HashJoinExec: mode=CollectLeft            JoinTaskExec: HashJoinExec: mode=CollectLeft
//!    left, one partition            ──►        CoalescePartitionsExec, a stage that ends here
//!    right, many                                 left
//!                                              right
//! ```
//!
//! A join that collects its left side has it in memory once, and its partitions mark there which rows have a match. On a
//! cluster, each partition is a task with a left side of its own, which would return a row of the left once for each task
//! that has no match for it. Joins that return rows for their left side therefore have both sides divided by their keys, or
//! one task.
//!
//! Ballista's planner knows that, but its cure is wrong: it divides the sides by their keys where DataFusion has planned
//! one partition (`demote_collect_left_to_partitioned` in its `planner.rs`), and a sort above then reads the first partition
//! alone. It does so, too, for joins of sides whose sizes it does not know. After planning it also swaps sides on whose
//! order others rely. [`JoinTaskExec`] therefore hides joins from it: they run as they were planned here.

mod exec;

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, PartitionMode,
};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

pub(super) use exec::JoinTaskExec;

/// `plan` with joins that are right when each of their partitions is a task.
///
/// # Errors
/// A bug: a join that refuses its own inputs.
pub(super) fn for_tasks(
    plan: Arc<dyn ExecutionPlan>,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = config.execution.target_partitions;
    Ok(plan.transform_up(|plan| for_task(plan, partitions))?.data)
}

fn for_task(plan: Arc<dyn ExecutionPlan>, partitions: usize) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let (join, in_one_task) = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        match join.partition_mode() {
            PartitionMode::Partitioned | PartitionMode::Auto => (plan, false),
            PartitionMode::CollectLeft if !keeps_left_rows(*join.join_type()) => {
                (left_as_stage(plan)?, false)
            }
            // What one null on the right means for all rows of the left takes all of the right.
            PartitionMode::CollectLeft if join.null_aware || !is_divided(&plan) => (gathered(plan)?, true),
            PartitionMode::CollectLeft => (divided_by_keys(join, partitions)?, false),
        }
    } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        match keeps_left_rows(*join.join_type()) {
            true => (gathered(plan)?, true),
            false => (left_as_stage(plan)?, false),
        }
    } else if plan.is::<CrossJoinExec>() {
        (left_as_stage(plan)?, false)
    } else {
        return Ok(Transformed::no(plan));
    };
    Ok(Transformed::yes(Arc::new(JoinTaskExec::try_new(join, in_one_task)?)))
}

/// Whether a join that collects its left side has more than one partition.
fn is_divided(join: &Arc<dyn ExecutionPlan>) -> bool {
    join.output_partitioning().partition_count() > 1
}

/// Whether a join returns rows of its left side for what it has seen of all the right.
fn keeps_left_rows(join: JoinType) -> bool {
    match join {
        JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            true
        }
        JoinType::Inner
        | JoinType::Right
        | JoinType::RightSemi
        | JoinType::RightAnti
        | JoinType::RightMark => false,
    }
}

/// The join with a left side that is computed once, for all tasks.
fn left_as_stage(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if is_divided(&join) { with_inputs(&join, as_stage, Arc::clone) } else { Ok(join) }
}

/// The join with both sides as one partition.
fn gathered(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if is_divided(&join) { with_inputs(&join, as_stage, as_stage) } else { Ok(join) }
}

fn with_inputs(
    join: &Arc<dyn ExecutionPlan>,
    left: impl Fn(&Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan>,
    right: impl Fn(&Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = match join.children().as_slice() {
        [left_input, right_input] => vec![left(left_input), right(right_input)],
        _ => return datafusion::common::internal_err!("{} has two inputs", join.name()),
    };
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(join).replace_children(inputs, options)
}

/// `input` as a stage of its own, with one partition.
fn as_stage(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if input.is::<CoalescePartitionsExec>() || input.is::<SortPreservingMergeExec>() {
        return Arc::clone(input);
    }
    Arc::new(CoalescePartitionsExec::new(Arc::clone(input)))
}

/// The join with both sides divided by its keys. Such joins promise no order of their rows, and no partitioning.
fn divided_by_keys(join: &HashJoinExec, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let (left, right): (Vec<_>, Vec<_>) =
        join.on().iter().map(|(left, right)| (Arc::clone(left), Arc::clone(right))).unzip();
    let divided = |input: &Arc<dyn ExecutionPlan>, keys| -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(RepartitionExec::try_new(Arc::clone(input), Partitioning::Hash(keys, partitions))?))
    };
    let inputs = vec![divided(join.left(), left)?, divided(join.right(), right)?];
    HashJoinExecBuilder::from(join)
        .with_partition_mode(PartitionMode::Partitioned)
        .with_new_children(inputs)?
        .build_exec()
}
