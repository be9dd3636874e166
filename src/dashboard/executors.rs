//! The executors of the session's cluster, and the models that they have loaded, as `SHOW EXECUTORS` lists them.

#[cfg(not(feature = "cluster"))]
use std::future::{Ready, ready};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::shared::{Shared, json_answer};
#[cfg(feature = "cluster")]
use crate::cluster::{ListedExecutor, own_client};

/// `GET /api/v1/executors`
pub(super) async fn executors(State(shared): State<Arc<Shared>>) -> Response {
    if let Some(kept) = shared.kept("executors") {
        return json_answer(kept);
    }
    let listed = listed(&shared).await;
    json_answer(shared.answer("executors", || Some(listed)).unwrap_or_default())
}

/// The answer of a session without a cluster.
fn none() -> Value {
    json!({"scheduler": null, "executors": [], "error": null})
}

#[cfg(feature = "cluster")]
async fn listed(shared: &Shared) -> Value {
    let Some(client) = own_client(&shared.context) else { return none() };
    let (executors, error) = match client.executors().await {
        Ok(executors) => (executors, None),
        Err(error) => (vec![], Some(error.to_string())),
    };
    let executors: Vec<_> = executors.iter().map(described).collect();
    json!({"scheduler": client.address().to_string(), "executors": executors, "error": error})
}

#[cfg(not(feature = "cluster"))]
fn listed(_: &Shared) -> Ready<Value> {
    ready(none())
}

#[cfg(feature = "cluster")]
fn described(executor: &ListedExecutor) -> Value {
    let models = executor.models.iter().map(|model| {
        json!({
            "name": model.name,
            "sha256": model.digest,
            "sessions": model.sessions,
            "device": model.device,
            "since_ms": model.since,
        })
    });
    json!({
        "id": executor.id,
        "address": executor.address,
        "cores": executor.cores,
        "tasks": executor.running,
        "models": models.collect::<Vec<_>>(),
        "last_seen_ms": executor.last_seen,
    })
}
