//! The models that jobs are about to need, as the scheduler sees them in its plans.
//!
//! ```text
//!  stages of a job:   one lists files        another infers, and waits for the listing
//!                       runs on one core       its models ─► executors, which load them meanwhile
//! ```
//!
//! A stage that runs gets its models with its tasks, as soon as there is a core: a job without a listing needs nothing here.

use std::sync::Arc;
use std::time::Duration;

use ballista_scheduler::state::execution_graph::ExecutionGraph;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use bytes::Bytes;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use tokio::sync::watch;
use tokio::time::sleep;

use super::messages::Needed;
use super::serve::State;

/// Between two looks at the stages.
const LOOKED_EVERY: Duration = Duration::from_millis(250);
/// What an executor is told at most. Other models are loaded by the tasks that use them.
const MOST_BYTES: usize = 2 << 20;

/// The models of a stage's plan, each in bytes that are meant for executors.
pub type ModelsOf = Arc<dyn Fn(&Arc<dyn ExecutionPlan>) -> Vec<Bytes> + Send + Sync>;

/// Keeps `needed` up to date, until dropped.
pub(crate) async fn watch_needs(state: Arc<State>, models: ModelsOf, needed: watch::Sender<Needed>) {
    loop {
        sleep(LOOKED_EVERY).await;
        let now = look(&state, &models).await;
        needed.send_if_modified(|needed| {
            let has_changed = *needed != now;
            *needed = now;
            has_changed
        });
    }
}

async fn look(state: &State, models: &ModelsOf) -> Needed {
    let jobs = state.task_manager.get_running_job_cache();
    if jobs.is_empty() {
        return Needed::default();
    }
    let executors = state.executor_manager.get_executors_state().await.map_or(0, |executors| executors.len());
    let mut all = vec![];
    for job in jobs.values() {
        all.extend(of_job(job.execution_graph.read().await.as_ref(), executors, models));
    }
    // The same in any order of jobs, so that what stays is no change.
    all.sort_unstable();
    all.dedup();
    let mut left = MOST_BYTES;
    all.retain(|model| match left.checked_sub(model.len()) {
        Some(less) => {
            left = less;
            true
        }
        None => false,
    });
    Needed { models: all }
}

/// The models of a job's stages that wait for others, if each of the executors may get a task of theirs. None while models
/// run: what comes after these may take hours to begin, and would have their memory.
fn of_job(graph: &dyn ExecutionGraph, executors: usize, models: &ModelsOf) -> Vec<Bytes> {
    let mut waiting = vec![];
    for stage in graph.stages().values() {
        match stage {
            ExecutionStage::UnResolved(stage) => waiting.push(&stage.plan),
            ExecutionStage::Resolved(stage) => waiting.push(&stage.plan),
            ExecutionStage::Running(stage) if !models(&stage.plan).is_empty() => return vec![],
            ExecutionStage::Running(_) | ExecutionStage::Successful(_) | ExecutionStage::Failed(_) => {}
        }
    }
    waiting.into_iter().filter(|plan| tasks(plan) >= executors).flat_map(|plan| models(plan)).collect()
}

/// How many tasks a stage has, below what writes their results.
fn tasks(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let inputs = plan.children().into_iter().map(|input| input.output_partitioning().partition_count());
    inputs.max().unwrap_or(1)
}
