//! The API: what the page shows, as JSON. `openapi.json` describes it; a test compares the two.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use datafusion::common::runtime::SpawnedTask;
use serde_json::{Value, json};

use super::metrics::{CONTENT_TYPE, metrics};
use super::models;
use super::shared::{Shared, json_answer, refusal};
use crate::model::ModelRegistry;

/// The API in the words of OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("openapi.json");

/// Settings that the page shows, besides those of inference.
const SHOWN_SETTINGS: [&str; 4] = [
    "datafusion.execution.batch_size",
    "datafusion.execution.target_partitions",
    "datafusion.execution.time_zone",
    "datafusion.runtime.memory_limit",
];

/// `GET /api/v1/queries`
pub(super) fn queries(shared: &Arc<Shared>) -> Response {
    json_answer(shared.answer("queries", || Some(shared.list())).unwrap_or_default())
}

/// `GET /api/v1/queries/{id}`
pub(super) fn query(shared: &Arc<Shared>, id: &str) -> Response {
    match shared.answer(&format!("query {id}"), || shared.details(id)) {
        Some(details) => json_answer(details),
        None => unknown_query(id),
    }
}

/// `POST /api/v1/queries/{id}/cancel`
pub(super) fn cancel(shared: &Arc<Shared>, id: &str) -> Response {
    if !shared.may_cancel {
        let reason = "this dashboard only shows; --dashboard-actions lets it cancel queries";
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    if shared.queries.cancel(id) {
        return (StatusCode::ACCEPTED, json_answer(json!({"cancelled": id}).to_string())).into_response();
    }
    if shared.details(id).is_some() {
        return refusal(StatusCode::CONFLICT, "the query has ended already");
    }
    unknown_query(id)
}

/// `GET /api/v1/models`
pub(super) async fn models(State(shared): State<Arc<Shared>>) -> Response {
    blocking(&shared, "models", models::models).await
}

/// `GET /api/v1/devices`
pub(super) async fn devices(State(shared): State<Arc<Shared>>) -> Response {
    blocking(&shared, "devices", models::devices).await
}

/// `GET /api/v1/process`
pub(super) fn process(shared: &Arc<Shared>) -> Response {
    json_answer(shared.answer("process", || Some(about(shared))).unwrap_or_default())
}

/// `GET /api/v1/openapi.json`
pub(super) fn description(_: &Arc<Shared>) -> Response {
    json_answer(DESCRIPTION)
}

/// `GET /metrics`
pub(super) fn prometheus(shared: &Arc<Shared>) -> Response {
    match metrics(shared) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Anything else.
pub(super) fn nothing() -> Response {
    refusal(StatusCode::NOT_FOUND, "there is no such page; / has all of them")
}

/// The answer `name`, which `make` may block for.
async fn blocking(shared: &Arc<Shared>, name: &str, make: fn(&ModelRegistry) -> Value) -> Response {
    if let Some(kept) = shared.kept(name) {
        return json_answer(kept);
    }
    let registry = Arc::clone(&shared.models);
    match SpawnedTask::spawn_blocking(move || make(&registry)).join().await {
        Ok(made) => json_answer(shared.answer(name, || Some(made)).unwrap_or_default()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn unknown_query(id: &str) -> Response {
    refusal(StatusCode::NOT_FOUND, &format!("there is no query '{id}', or not any more"))
}

fn about(shared: &Shared) -> Value {
    let state = shared.context.state();
    let is_shown = |key: &str| key.starts_with("inference.") || SHOWN_SETTINGS.contains(&key);
    let settings = state.config_options().entries().into_iter().filter(|entry| is_shown(&entry.key));
    let settings = settings.map(|entry| json!([entry.key, entry.value]));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "datafusion": datafusion::DATAFUSION_VERSION,
        "pid": std::process::id(),
        "address": shared.address.to_string(),
        "home": shared.models.home().display().to_string(),
        "can_cancel": shared.may_cancel,
        "process": shared.meter.lock().read(&shared.context),
        "settings": settings.collect::<Vec<_>>(),
    })
}
