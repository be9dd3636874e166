//! `CREATE TABLE … AS query`, with a query that can be watched.
//!
//! DataFusion runs the query in the middle of the statement, out of sight. Here it runs first, and the statement is left with
//! a scan of the results:
//!
//! ```text
//!  CREATE TABLE t AS ── query ─► plan, which is shown to `observe` ─► results in memory
//!                    └─ SELECT * FROM these results ─► DataFusion, which has the say on name, constraints and defaults
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{CreateMemoryTable, DdlStatement, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use datafusion::prelude::SessionContext;

/// The name of the results in the plan that is left.
const RESULTS: &str = "results";

/// Runs the query of a `CREATE TABLE … AS`, if `plan` is one that will succeed; any other plan stays as it is.
pub(super) async fn run_query(
    ctx: &SessionContext,
    plan: LogicalPlan,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<LogicalPlan> {
    let create = match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => create,
        plan => return Ok(plan),
    };
    let is_refused = create.temporary
        || create.if_not_exists && create.or_replace
        || !create.or_replace && ctx.table_exist(create.name.clone())?
        || !has_unique_names(&create.input);
    if is_refused {
        return Ok(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)));
    }
    // Optimizing may find that a column has no NULL.
    let input = ctx.state().optimize(&create.input)?;
    let schema = Arc::clone(input.schema().inner());
    let query = DataFrame::new(ctx.state(), input);
    let (task, plan) = (Arc::new(query.task_ctx()), query.create_physical_plan().await?);
    observe(&plan);
    let results = MemTable::try_new(schema, collect_partitioned(plan, task).await?)?;
    let scan =
        LogicalPlanBuilder::scan(TableReference::bare(RESULTS), provider_as_source(Arc::new(results)), None)?;
    let input = Arc::new(scan.build()?);
    Ok(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(CreateMemoryTable { input, ..create })))
}

fn has_unique_names(plan: &LogicalPlan) -> bool {
    let mut names = HashSet::new();
    plan.schema().fields().iter().all(|field| names.insert(field.name()))
}
