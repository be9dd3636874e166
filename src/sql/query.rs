//! Plans statements of DataFusion's, queries above all, with what Seequel adds to them.
//!
//! ```text
//!  statement ─ columns/fields.rs, wildcards.rs ─► plan ─ headers.rs ─► plan with short column names
//! ```

use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;

use super::columns::{self, Headers};

/// Plans `statement`.
///
/// # Errors
/// Those of DataFusion.
pub(super) async fn plan(state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
    let normalizer = IdentNormalizer::new(state.config_options().sql_parser.enable_ident_normalization);
    let headers = Headers::of(&statement, &normalizer);
    let plan = columns::plan(state, statement, &normalizer).await?;
    match headers {
        Some(headers) => headers.apply(plan),
        None => Ok(plan),
    }
}
