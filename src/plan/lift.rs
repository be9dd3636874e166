//! The optimizer rule that limits rows before inference: `LIMIT 10`, `ORDER BY size LIMIT 10`.
//!
//! ```text
//!  Sort: size, fetch=10          Projection: path, __infer_1 AS c, size
//!    Projection: path, …    ──►    Infer
//!      Infer                         Sort: size, fetch=10
//!        TableScan: images             TableScan: images
//! ```
//!
//! Inference neither adds nor drops rows, unless failed ones are skipped, and it keeps the order of ordered rows. LIMIT, OFFSET and a sort with a row
//! limit can therefore run first, provided that the sort's keys don't depend on a prediction. They are also moved below
//! projections and aliases, which result from subqueries and views.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::logical_plan::{Limit, Projection, Sort, SubqueryAlias};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::node::as_infer;
use crate::config::{InferenceOptions, OnError};

/// Moves inference above LIMIT, and above a sort with a row limit.
#[derive(Debug, Default)]
pub struct LiftInference {}

impl OptimizerRule for LiftInference {
    fn name(&self) -> &'static str {
        "lift_inference"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // Inference drops rows, and the limit is one of those that are left.
        if InferenceOptions::of(&config.options()).on_error == OnError::Skip {
            return Ok(Transformed::no(plan));
        }
        let lifted = match &plan {
            LogicalPlan::Limit(limit) => sink(&Sinking::Limit(limit), &limit.input)?,
            LogicalPlan::Sort(Sort { expr, input, fetch: Some(fetch) }) => {
                sink(&Sinking::Sort { keys: expr.clone(), fetch: *fetch }, input)?
            }
            _ => None,
        };
        Ok(lifted.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// A node that is moved down.
#[derive(Debug, Clone)]
enum Sinking<'a> {
    Limit(&'a Limit),
    /// A sort that keeps the first `fetch` rows.
    Sort {
        keys: Vec<SortExpr>,
        fetch: usize,
    },
}

impl Sinking<'_> {
    /// The node on top of `input`.
    fn above(&self, input: &LogicalPlan) -> LogicalPlan {
        let input = Arc::new(input.clone());
        match self {
            Self::Limit(limit) => {
                LogicalPlan::Limit(Limit { skip: limit.skip.clone(), fetch: limit.fetch.clone(), input })
            }
            Self::Sort { keys, fetch } => {
                LogicalPlan::Sort(Sort { expr: keys.clone(), input, fetch: Some(*fetch) })
            }
        }
    }

    /// The node in terms of other columns, as far as `source_of` has them.
    fn below(&self, source_of: impl Fn(&Column) -> Option<Expr>) -> Result<Self> {
        let Self::Sort { keys, fetch } = self else { return Ok(self.clone()) };
        let keys = keys.iter().map(|key| {
            let expr = key.expr.clone().transform(|expr| {
                Ok(match expr.try_as_col().and_then(&source_of) {
                    Some(source) => Transformed::yes(source),
                    None => Transformed::no(expr),
                })
            })?;
            Ok(SortExpr { expr: expr.data, ..key.clone() })
        });
        Ok(Self::Sort { keys: keys.collect::<Result<_>>()?, fetch: *fetch })
    }

    /// Whether the node can be placed above `input`.
    fn fits(&self, input: &LogicalPlan) -> bool {
        let Self::Sort { keys, .. } = self else { return true };
        let there = |column: &Column| input.schema().has_column(column);
        keys.iter().all(|key| !key.expr.is_volatile() && key.expr.column_refs().into_iter().all(there))
    }
}

/// `plan` with the node moved below its `Infer` nodes, or `None` if there is none to move below.
fn sink(node: &Sinking<'_>, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) => below_projection(node, projection),
        LogicalPlan::SubqueryAlias(alias) => below_alias(node, alias),
        plan => match as_infer(plan) {
            Some(infer) if node.fits(infer.input()) => {
                let input = sink(node, infer.input())?.unwrap_or_else(|| node.above(infer.input()));
                Ok(Some(infer.with(input, infer.calls().to_vec())?))
            }
            _ => Ok(None),
        },
    }
}

fn below_projection(node: &Sinking<'_>, projection: &Projection) -> Result<Option<LogicalPlan>> {
    let Projection { expr, input, schema, .. } = projection;
    let source_of = |column: &Column| {
        let index = schema.maybe_index_of_column(column)?;
        Some(expr.get(index)?.clone().unalias())
    };
    let Some(below) = sink(&node.below(source_of)?, input)? else { return Ok(None) };
    let lifted = Projection::try_new_with_schema(expr.clone(), Arc::new(below), Arc::clone(schema))?;
    Ok(Some(LogicalPlan::Projection(lifted)))
}

fn below_alias(node: &Sinking<'_>, alias: &SubqueryAlias) -> Result<Option<LogicalPlan>> {
    let source_of = |column: &Column| {
        let index = alias.schema.maybe_index_of_column(column)?;
        Some(Expr::Column(Column::from(alias.input.schema().qualified_field(index))))
    };
    let Some(below) = sink(&node.below(source_of)?, &alias.input)? else { return Ok(None) };
    Ok(Some(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(below), alias.alias.clone())?)))
}
