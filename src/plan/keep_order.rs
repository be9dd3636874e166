//! Keeps the order that a query asks for above inference.
//!
//! Where ORDER BY needs no prediction, inference is above the sort (`lift.rs`), and so is whatever uses the predictions.
//! DataFusion asks for the order where the sort is, and spreads rows over partitions for an expression above it:
//!
//! ```text
//!  ProjectionExec: __infer_1[1:1]               ProjectionExec: __infer_1[1:1]
//!    RepartitionExec: RoundRobinBatch(2)  ──►     InferExec
//!      InferExec                                    SortExec: name
//!        SortExec: name
//! ```
//!
//! The partitions' rows would come in any order.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, Partitioning, ReplaceChildrenOptions,
};

use crate::exec::InferExec;

/// Physical rule, run after DataFusion's own: in plans with inference, ordered rows of one partition stay in it on their
/// way to the result.
#[derive(Debug, Default)]
pub(crate) struct KeepOrder {}

impl PhysicalOptimizerRule for KeepOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // Without inference a sort is where SQL has it.
        if plan.exists(|plan| Ok(plan.is::<InferExec>()))? { keep_order(plan) } else { Ok(plan) }
    }

    fn name(&self) -> &'static str {
        "keep_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Follows the rows from the result down, as far as their order is that of the result.
fn keep_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let [input] = plan.children()[..] else { return Ok(plan) };
    let (input, keeps) = (Arc::clone(input), plan.maintains_input_order() == [true]);
    if spreads_ordered_rows(plan.as_ref(), &input) {
        return keep_order(input);
    }
    // What gathers partitions keeps the order of one.
    if !keeps && !plan.is::<CoalescePartitionsExec>() {
        return Ok(plan);
    }
    let kept = keep_order(Arc::clone(&input))?;
    if Arc::ptr_eq(&kept, &input) {
        return Ok(plan);
    }
    plan.replace_children(vec![kept], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

fn spreads_ordered_rows(plan: &dyn ExecutionPlan, input: &Arc<dyn ExecutionPlan>) -> bool {
    let spreads = plan
        .downcast_ref::<RepartitionExec>()
        .is_some_and(|plan| matches!(plan.partitioning(), Partitioning::RoundRobinBatch(_)));
    spreads && input.output_partitioning().partition_count() == 1 && input.output_ordering().is_some()
}
