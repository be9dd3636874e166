//! Plans statements of DataFusion's, queries above all, with what Seequel adds to them.
//!
//! ```text
//!  statement ─ columns/fields.rs, wildcards.rs ─► plan ─ headers.rs ─► plan with short column names
//! ```

use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;

use crate::sql::columns::{self, Headers};

/// Plans `statement`.
///
/// # Errors
/// Those of DataFusion.
pub(crate) async fn plan(state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
    let normalizer = IdentNormalizer::new(state.config_options().sql_parser.enable_ident_normalization);
    let headers = Headers::of(&statement, &normalizer);
    let plan = columns::plan(state, statement, &normalizer).await?;
    match headers {
        Some(headers) => headers.apply(plan),
        None => Ok(plan),
    }
}

/// What runs `plan` as part of another statement: its operators, which `observe` gets first, and their context.
///
/// # Errors
/// Those of DataFusion.
pub(crate) async fn physical(
    ctx: &SessionContext,
    plan: LogicalPlan,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
    let query = DataFrame::new(ctx.state(), plan);
    let (task, plan) = (Arc::new(query.task_ctx()), query.create_physical_plan().await?);
    observe(&plan);
    Ok((plan, task))
}
