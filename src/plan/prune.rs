//! The optimizer rule that drops unused inference: `SELECT count(*) FROM (SELECT classify(image) FROM images)`.
//!
//! DataFusion prunes columns *below* an extension node, but can't make the node compute less. Columns of `Infer` nodes
//! have unique names in a plan, so a call is dead if no expression reads its column's name and no node takes all its
//! input's columns without naming them. None is dropped where rows that fail are left out: which ones depends on all calls.

use std::collections::HashSet;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::node::{InferNode, as_infer};
use crate::config::{InferenceOptions, OnError};

/// Removes calls whose predictions are not read.
#[derive(Debug, Default)]
pub struct PruneInference {}

impl OptimizerRule for PruneInference {
    fn name(&self) -> &'static str {
        "prune_inference"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // A call also decides whether its row is left out.
        if InferenceOptions::of(&config.options()).on_error == OnError::Skip {
            return Ok(Transformed::no(plan));
        }
        let (computed, read) = computed_and_read(&plan)?;
        if computed.is_subset(&read) {
            return Ok(Transformed::no(plan));
        }
        plan.transform_up_with_subqueries(|node| match as_infer(&node) {
            Some(infer) => prune(infer, &read).map(Transformed::yes),
            None => node.recompute_schema().map(Transformed::yes),
        })
    }
}

/// Names of the columns that `Infer` nodes add, and of all columns read anywhere in the plan.
fn computed_and_read(plan: &LogicalPlan) -> Result<(HashSet<String>, HashSet<String>)> {
    let mut computed = HashSet::new();
    let mut read: HashSet<String> = names(plan).collect();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            read.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
        }
        if let Some(infer) = as_infer(node) {
            computed.extend(infer.calls().iter().map(|(column, _)| column.clone()));
        } else if reads_whole_input(node) {
            node.inputs().into_iter().for_each(|input| read.extend(names(input)));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok((computed, read))
}

/// Whether a node uses all columns of its input without naming them.
fn reads_whole_input(node: &LogicalPlan) -> bool {
    !matches!(
        node,
        LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::SubqueryAlias(_)
    )
}

fn names(plan: &LogicalPlan) -> impl Iterator<Item = String> {
    plan.schema().fields().iter().map(|field| field.name().clone())
}

fn prune(infer: &InferNode, read: &HashSet<String>) -> Result<LogicalPlan> {
    let calls: Vec<_> = infer.calls().iter().filter(|(column, _)| read.contains(column)).cloned().collect();
    if calls.is_empty() {
        return Ok(infer.input().clone());
    }
    infer.with(infer.input().clone(), calls)
}
