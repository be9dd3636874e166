//! `CREATE TABLE … AS query`, with a query whose plan can be observed.
//!
//! DataFusion does not expose the query's plan. Here the query runs first, and the statement then scans the results:
//!
//! ```text
//!  CREATE TABLE t AS ── query ─► plan, passed to `observe` ─► results in memory
//!                    └─ SELECT * FROM these results ─► DataFusion, which checks name, constraints and defaults
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{CreateMemoryTable, DdlStatement, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use datafusion::prelude::SessionContext;

use super::query;

/// The name of the results in the remaining plan.
const RESULTS: &str = "results";

/// Runs the query if `plan` is a `CREATE TABLE … AS` that DataFusion will not reject; other plans are unchanged.
pub(crate) async fn run_query(
    ctx: &SessionContext,
    plan: LogicalPlan,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<LogicalPlan> {
    let create = match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => create,
        plan => return Ok(plan),
    };
    let is_rejected = create.temporary
        || create.if_not_exists && create.or_replace
        || !create.or_replace && ctx.table_exist(create.name.clone())?
        || !has_unique_names(&create.input);
    if is_rejected {
        return Ok(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)));
    }
    // The optimizer may change the nullability of columns.
    let input = ctx.state().optimize(&create.input)?;
    let schema = Arc::clone(input.schema().inner());
    let (plan, task) = query::physical(ctx, input, observe).await?;
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
