//! `EXPLAIN [ANALYZE] FORMAT JSON query`: the plan as JSON and, with ANALYZE, what the query's time went to.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;

use super::query;
use crate::stores::apply_store_options;
use crate::{Result, report};

/// One row with the JSON. With `analyze` the statement runs, and its rows are dropped; `observe` gets its plan first.
///
/// # Errors
/// Those of the statement.
pub(crate) async fn explain_json(
    ctx: &SessionContext,
    statement: Statement,
    analyze: bool,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<RecordBatch> {
    let sql = statement.to_string();
    let plan = query::plan(&ctx.state(), statement).await?;
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
        return Err(DataFusionError::Plan("EXPLAIN takes no other EXPLAIN".to_owned()).into());
    }
    let query = DataFrame::new(ctx.state(), apply_store_options(ctx, plan)?);
    let json = if analyze {
        report::analyzed(query, &sql, observe).await?
    } else {
        report::planned(query, &sql).await?
    };
    let column: ArrayRef = Arc::new(StringArray::from(vec![json]));
    Ok(RecordBatch::try_from_iter([("plan", column)]).map_err(DataFusionError::from)?)
}
