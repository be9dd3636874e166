//! `PREPARE` of a query with `DISTINCT ON`.
//!
//! DataFusion optimises the query of `PREPARE` without the session's functions, and its rule that replaces `DISTINCT ON`
//! by `first_value` panics when it looks that function up. Here the rule runs before, with them.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Distinct, LogicalPlan, Prepare, Statement};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;

/// Replaces `DISTINCT ON` in the query of a `PREPARE`; other plans are unchanged.
///
/// # Errors
/// Those of DataFusion's rule.
pub(crate) fn replace_distinct_on(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Statement(Statement::Prepare(Prepare { name, fields, input })) = plan else {
        return Ok(plan);
    };
    let rule = ReplaceDistinctWithAggregate::new();
    let replaced = Arc::unwrap_or_clone(input).transform_up_with_subqueries(|node| match node {
        LogicalPlan::Distinct(Distinct::On(_)) => rule.rewrite(node, state),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(LogicalPlan::Statement(Statement::Prepare(Prepare { name, fields, input: Arc::new(replaced.data) })))
}
