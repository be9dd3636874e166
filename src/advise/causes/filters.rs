//! A filter above inference that implies one on columns of the images alone, which could go below.
//!
//! DataFusion moves a condition below inference if it stands alone or in an AND, but not out of an OR: of
//!
//! ```sql
//! WHERE path LIKE '%lion%' AND label = 'lion' OR path LIKE '%cup%' AND label = 'espresso'
//! ```
//!
//! only rows with `path LIKE '%lion%' OR path LIKE '%cup%'` can pass.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, and, or};
use datafusion::sql::unparser::expr_to_sql;

use crate::Result;
use crate::advise::evidence::{Case, Demand, Finding, percent};
use crate::plan::as_infer;

/// A filter that could go below inference in part.
///
/// # Errors
/// Those of counting the rows that pass.
pub(in crate::advise) async fn filter_below(case: &Case<'_>) -> Result<Option<Finding>> {
    let Some((filter, below)) = implied_by_filter(case.optimized) else { return Ok(None) };
    let state = case.context.state();
    let narrowed = case.optimized.clone().transform_down(|node| match node {
        LogicalPlan::Filter(node) if node == filter => {
            let predicate = and(node.predicate.clone(), below.clone());
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, node.input)?)))
        }
        node => Ok(Transformed::no(node)),
    })?;
    let narrowed = state.optimize(&narrowed.data)?;
    let (Some(all), Some(left)) = (inferred(case.optimized), inferred(&narrowed)) else { return Ok(None) };
    let all = DataFrame::new(case.context.state(), all).count().await?;
    let left = DataFrame::new(case.context.state(), left).count().await?;
    let share = left as f64 / all.max(1) as f64;
    let accounts = case.accounts();
    let listing = accounts.stages.list.busy_seconds / accounts.query.seconds.max(1e-9);
    let less = share.max(listing.min(1.0));
    let demand = Demand { read: less, workers: less, cores: less, ..Demand::SAME };
    let text = expr_to_sql(&unqualified(below)?)?.to_string();
    let grouped = if text.starts_with('(') { text.clone() } else { format!("({text})") };
    Ok(Some(Finding {
        cause: "filter",
        finding: "models run on rows that the filter above them drops by other columns".to_owned(),
        evidence: format!("{left} of {all} rows, {}, pass {text}", percent(share)),
        gain: Some(case.load.gain(demand)),
        change: Some(format!("add to WHERE: AND {grouped}")),
    }))
}

/// The first filter on predictions that implies a condition without them, and that condition.
fn implied_by_filter(plan: &LogicalPlan) -> Option<(Filter, Expr)> {
    let mut found = None;
    // The closure can't fail.
    let _ = plan.apply(|node| {
        if let LogicalPlan::Filter(filter) = node
            && let Some(predicted) = predicted(&filter.input).filter(|columns| !columns.is_empty())
            && let Some(below) = implied(&filter.predicate, &predicted)
        {
            found = Some((filter.clone(), below));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The columns of `plan` that depend on predictions; `None` if that is not known.
fn predicted(plan: &LogicalPlan) -> Option<HashSet<Column>> {
    if let Some(infer) = as_infer(plan) {
        let mut columns = predicted(infer.input())?;
        columns.extend(infer.calls().iter().map(|(column, _)| Column::new_unqualified(column)));
        return Some(columns);
    }
    match plan {
        LogicalPlan::Projection(projection) => {
            let below = predicted(&projection.input)?;
            let columns = projection.expr.iter().zip(projection.schema.columns());
            let depends = |expr: &Expr| expr.column_refs().into_iter().any(|column| below.contains(column));
            Some(columns.filter(|(expr, _)| depends(expr)).map(|(_, column)| column).collect())
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let below = predicted(&alias.input)?;
            let columns = alias.input.schema().columns().into_iter().zip(alias.schema.columns());
            Some(columns.filter(|(inner, _)| below.contains(inner)).map(|(_, outer)| outer).collect())
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) => {
            plan.inputs().first().and_then(|input| predicted(input))
        }
        LogicalPlan::TableScan(_) => Some(HashSet::new()),
        _ => None,
    }
}

/// A condition without columns of `predicted` that is true wherever `predicate` is.
fn implied(predicate: &Expr, predicted: &HashSet<Column>) -> Option<Expr> {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (implied(left, predicted), implied(right, predicted)) {
                (Some(left), Some(right)) => Some(and(left, right)),
                (left, right) => left.or(right),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(or(implied(left, predicted)?, implied(right, predicted)?))
        }
        Expr::IsTrue(inner) => implied(inner, predicted),
        leaf => {
            let is_free = !leaf.column_refs().into_iter().any(|column| predicted.contains(column));
            (is_free && !leaf.is_volatile()).then(|| leaf.clone())
        }
    }
}

/// What the first inference of a plan runs on.
fn inferred(plan: &LogicalPlan) -> Option<LogicalPlan> {
    let mut found = None;
    // The closure can't fail.
    let _ = plan.apply(|node| {
        found = as_infer(node).map(|infer| infer.input().clone());
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// The expression with the short names of its columns.
fn unqualified(expr: Expr) -> Result<Expr> {
    let short = expr.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        expr => Ok(Transformed::no(expr)),
    })?;
    Ok(short.data)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn an_or_of_ands_implies_an_or() {
        let predicted = HashSet::from([Column::new_unqualified("p")]);
        let named = |name: &str| col("path").like(lit(name));
        let both = or(and(named("%a%"), col("p").eq(lit(1))), and(named("%b%"), col("p").eq(lit(2))));
        assert_eq!(implied(&both, &predicted), Some(or(named("%a%"), named("%b%"))));
        let either = or(named("%a%"), col("p").eq(lit(1)));
        assert_eq!(implied(&either, &predicted), None, "a row may pass by its prediction alone");
        assert_eq!(implied(&and(either, named("%c%")), &predicted), Some(named("%c%")));
    }
}
