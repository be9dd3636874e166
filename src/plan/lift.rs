//! The optimizer rule that sorts before it infers, where a LIMIT leaves few rows: `ORDER BY size LIMIT 10`.
//!
//! ```text
//!  Sort: size, fetch=10          Projection: path, __infer_1 AS c, size
//!    Projection: path, …    ──►    Infer
//!      Infer                         Sort: size, fetch=10
//!        TableScan: images             TableScan: images
//! ```
//!
//! It applies where the keys don't depend on an answer. Inference keeps the order of rows that have one, so the result
//! is the same, of ten images instead of all.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::logical_plan::{Extension, Projection, Sort};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::node::{InferNode, as_infer};

/// Moves inference above a sort that keeps few rows.
#[derive(Debug, Default)]
pub struct LiftInference {}

impl OptimizerRule for LiftInference {
    fn name(&self) -> &'static str {
        "lift_inference"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Sort(sort) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let lifted = match sort.input.as_ref() {
            _ if sort.fetch.is_none() => None,
            LogicalPlan::Projection(projection) => below_projection(sort, projection)?,
            input => below_infer(sort.expr.clone(), sort.fetch, input)?,
        };
        Ok(lifted.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// `Sort → Projection → Infer` as `Projection → Infer → Sort`, if the keys allow it.
fn below_projection(sort: &Sort, projection: &Projection) -> Result<Option<LogicalPlan>> {
    let keys = sort.expr.iter().map(|key| {
        let expr = key.expr.clone().transform(|expr| {
            Ok(match source_of(&expr, projection) {
                Some(source) => Transformed::yes(source),
                None => Transformed::no(expr),
            })
        })?;
        Ok(SortExpr {
            expr: expr.data,
            ..key.clone()
        })
    });
    let Some(below) = below_infer(keys.collect::<Result<_>>()?, sort.fetch, &projection.input)? else {
        return Ok(None);
    };
    let schema = Arc::clone(&projection.schema);
    let lifted = Projection::try_new_with_schema(projection.expr.clone(), Arc::new(below), schema)?;
    Ok(Some(LogicalPlan::Projection(lifted)))
}

/// The expression that a projection's output column stands for.
fn source_of(expr: &Expr, projection: &Projection) -> Option<Expr> {
    let index = projection.schema.maybe_index_of_column(expr.try_as_col()?)?;
    Some(projection.expr.get(index)?.clone().unalias())
}

/// `Sort → Infer` as `Infer → Sort`, if `plan` is an Infer node and the keys are there below it.
fn below_infer(keys: Vec<SortExpr>, fetch: Option<usize>, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let Some(infer) = as_infer(plan) else {
        return Ok(None);
    };
    let there = |column: &Column| infer.input().schema().has_column(column);
    if keys
        .iter()
        .any(|key| key.expr.is_volatile() || !key.expr.column_refs().into_iter().all(there))
    {
        return Ok(None);
    }
    let sorted = LogicalPlan::Sort(Sort {
        expr: keys,
        input: Arc::new(infer.input().clone()),
        fetch,
    });
    let node = InferNode::try_new(sorted, infer.calls().to_vec())?;
    Ok(Some(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
}
