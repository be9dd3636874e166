//! Plans queries whose parts run on a cluster.
//!
//! A query is planned as for one process, with scans that deal their files out to tasks. If image bytes would then pass
//! from task to task, such as below a sort or a limit, it is planned again for one task, which reads, sorts and infers.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use super::dealt::ends_stage;
use super::exec::ClusterExec;
use crate::images::scan::Dealing;
use crate::plan::{SeequelQueryPlanner, contains, is_bytes};
use crate::write::continues;

/// Plans for the cluster of the session's rules.
#[derive(Debug, Default)]
pub(super) struct ClusterPlanner {
    inner: SeequelQueryPlanner,
}

#[async_trait]
impl QueryPlanner for ClusterPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return self.inner.create_physical_plan(plan, session).await;
        };
        if let LogicalPlan::Copy(copy) = explained(plan) {
            // Its rows are written where they are computed, and its files are dealt out when it runs.
            if continues(copy) {
                let later = Dealing { to_one: false, most_files: None, is_later: true };
                return self.inner.create_physical_plan(plan, &dealing(state, later)).await;
            }
        }
        let to_one = Dealing { to_one: true, most_files: None, is_later: false };
        let to_many = Dealing { to_one: false, ..to_one };
        let spread = self.inner.create_physical_plan(plan, &dealing(state, to_many)).await?;
        // EXPLAIN has texts alone.
        let moves = match explained(plan) {
            query if std::ptr::eq(query, plan) => moves_images(&spread)?,
            query => moves_images(&self.inner.create_physical_plan(query, &dealing(state, to_many)).await?)?,
        };
        if moves { self.inner.create_physical_plan(plan, &dealing(state, to_one)).await } else { Ok(spread) }
    }
}

/// The session in which scans deal their files out, or read all of them in one task.
fn dealing(session: &SessionState, dealing: Dealing) -> SessionState {
    let mut state = session.clone();
    let options = state.config_mut().options_mut();
    options.extensions.insert(dealing);
    if dealing.to_one {
        options.execution.target_partitions = 1;
    }
    state
}

/// The query that a plan explains, or the plan itself.
fn explained(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Explain(explain) => explained(&explain.plan),
        LogicalPlan::Analyze(analyze) => explained(&analyze.input),
        plan => plan,
    }
}

/// Whether image bytes pass from a task of the plan to another, and not to the result.
fn moves_images(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut moves = false;
    plan.apply(|node| {
        if let Some(cluster) = node.downcast_ref::<ClusterExec>()
            && !has_bytes(&cluster.plan().schema())
        {
            moves |= cluster
                .plan()
                .exists(|node| Ok(ends_stage(node).is_some_and(|input| has_bytes(&input.schema()))))?;
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(moves)
}

fn has_bytes(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| contains(field.data_type(), &is_bytes))
}
