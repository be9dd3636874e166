//! Models that executors load before they have a task that uses them.
//!
//! ```text
//!  scheduler: a stage that waits ─ models_of() ─► WarmModel, as bytes ─► executor: load_sent() ─► ExecutorModels ─► sessions
//! ```

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use prost::Message;
use seequel_udfs::Inference;

use super::messages::{SentModel, SentPredictor, version};
use super::models::ExecutorModels;
use super::{ExprModels, InferTaskExec};
use crate::Result;

/// A model that an executor may load.
#[derive(Clone, PartialEq, Message)]
struct WarmModel {
    /// What wrote it.
    #[prost(string, tag = "1")]
    version: String,
    #[prost(message, optional, tag = "2")]
    model: Option<SentModel>,
}

/// The models of a plan, each for [`load_sent`].
pub(in crate::cluster) fn models_of(plan: &Arc<dyn ExecutionPlan>) -> Vec<Bytes> {
    let mut models = vec![];
    let mut add = |predictor: &SentPredictor| {
        for model in &predictor.models {
            let message = WarmModel { version: version(), model: Some(model.clone()) };
            let message = Bytes::from(message.encode_to_vec());
            if !models.contains(&message) {
                models.push(message);
            }
        }
    };
    let visited = plan.apply(|node| {
        let calls = node.downcast_ref::<InferTaskExec>().map_or(&[][..], InferTaskExec::calls);
        calls.iter().for_each(|call| add(&call.predictor));
        node.apply_expressions(&mut |root| {
            root.apply(|expr| {
                in_expr(expr).into_iter().for_each(|models| add(models.sent()));
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    });
    if let Err(error) = visited {
        tracing::debug!("the models of a plan are not known: {error}");
    }
    models
}

/// The models of a call in an expression.
fn in_expr(expr: &Arc<dyn PhysicalExpr>) -> Option<&ExprModels> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let models: &dyn Any = call.fun().inner().downcast_ref::<Inference>()?.models().as_ref();
    models.downcast_ref()
}

/// Fetches a model of [`models_of`], and loads `sessions` of its sessions, or all if these are fewer. What can't be loaded is left to
/// the task that uses it, whose error has its query.
pub(in crate::cluster) async fn load_sent(models: Arc<ExecutorModels>, message: Bytes, sessions: usize) {
    let Ok(WarmModel { version: theirs, model: Some(sent) }) = WarmModel::decode(message) else { return };
    if theirs != version() {
        return;
    }
    if let Err(error) = load(&models, &sent, sessions).await {
        tracing::debug!("a model was not loaded ahead of its tasks: {error}");
    }
}

async fn load(models: &ExecutorModels, sent: &SentModel, sessions: usize) -> Result<()> {
    let model = models.model(sent).await?;
    let name = model.spec().name.clone();
    let loading = SpawnedTask::spawn_blocking(move || model.warm(sessions));
    match loading.join().await {
        Ok(loaded) => loaded?,
        Err(error) => tracing::debug!("loading '{name}' ended: {error}"),
    }
    Ok(())
}
