//! A run of the query, whose rows are counted and discarded.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::Result;
use crate::accounts::{Accounting, Accounts};
use crate::exec::{ExpressionMetrics, InferExec};

/// How often it is checked whether enough rows are done.
const TICK: Duration = Duration::from_millis(20);

/// A run and its accounts.
#[derive(Debug)]
pub(in crate::advise) struct Measured {
    pub(in crate::advise) plan: Arc<dyn ExecutionPlan>,
    pub(in crate::advise) accounts: Accounts,
    /// Rows that a model ran on, the most of all models; without models those that the query gave.
    pub(in crate::advise) rows: u64,
}

impl Measured {
    /// Runs `plan` with all sessions loaded before, to its end or until `most` rows are done.
    ///
    /// # Errors
    /// Those of the query.
    pub(in crate::advise) async fn run(
        context: &SessionContext,
        task: Arc<TaskContext>,
        plan: &LogicalPlan,
        most: Option<u64>,
        observe: &mut impl FnMut(&Arc<dyn ExecutionPlan>),
    ) -> Result<Self> {
        let mut state = context.state();
        ExpressionMetrics::begin(&mut state);
        let plan = state.create_physical_plan(plan).await?;
        observe(&plan);
        load_models(&plan).await?;
        let accounting = Accounting::new(&plan);
        accounting.begin();
        let mut batches = execute_stream(Arc::clone(&plan), task)?;
        let mut given = 0;
        loop {
            match tokio::time::timeout(TICK, batches.next()).await {
                Ok(None) => break,
                Ok(Some(batch)) => given += batch?.num_rows() as u64,
                Err(_) => {}
            }
            if most.is_some_and(|most| rows(&accounting.accounts(), given) >= most) {
                break;
            }
        }
        accounting.end();
        drop(batches);
        let accounts = accounting.accounts();
        Ok(Self { plan, rows: rows(&accounts, given), accounts })
    }

    /// Rows a second.
    pub(in crate::advise) fn rate(&self) -> f64 {
        self.rows as f64 / self.accounts.query.seconds.max(1e-9)
    }

    /// The operators that infer, from the result down.
    pub(in crate::advise) fn inference(&self) -> Vec<&InferExec> {
        let mut found = vec![];
        find(self.plan.as_ref(), &mut |plan| found.extend(plan.downcast_ref::<InferExec>()));
        found
    }

    /// Calls `visit` with each operator, from the result down.
    pub(in crate::advise) fn visit<'a>(&'a self, mut visit: impl FnMut(&'a dyn ExecutionPlan)) {
        find(self.plan.as_ref(), &mut visit);
    }
}

fn rows(accounts: &Accounts, given: u64) -> u64 {
    accounts.models.iter().map(|model| model.rows).max().unwrap_or(given)
}

fn find<'a>(plan: &'a dyn ExecutionPlan, visit: &mut impl FnMut(&'a dyn ExecutionPlan)) {
    visit(plan);
    for child in plan.children() {
        find(child.as_ref(), visit);
    }
}

/// Loads all sessions of the plan's models: that takes time once, however long a query is.
async fn load_models(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let mut models = vec![];
    find(plan.as_ref(), &mut |plan| {
        models.extend(plan.downcast_ref::<InferExec>().into_iter().flat_map(InferExec::models).cloned());
    });
    let loading = SpawnedTask::spawn_blocking(move || models.iter().try_for_each(|model| model.load_all()));
    loading.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}
