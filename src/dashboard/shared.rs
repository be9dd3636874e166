//! What all requests share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use datafusion::prelude::SessionContext;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::access::Access;
use super::address::DashboardAddress;
use super::history::History;
use super::process::Meter;
use crate::model::ModelRegistry;
use crate::queries::Queries;

/// An answer is computed again after this time, for however many clients.
const FRESH: Duration = Duration::from_millis(500);

/// Answers that are kept.
const MOST_ANSWERS: usize = 64;

/// Thumbnails that are made at once.
const THUMBNAILS: usize = 2;

/// What all requests share.
pub(super) struct Shared {
    pub(super) queries: Queries,
    pub(super) models: Arc<ModelRegistry>,
    pub(super) context: SessionContext,
    pub(super) access: Access,
    /// Whether queries can be cancelled.
    pub(super) may_cancel: bool,
    pub(super) address: DashboardAddress,
    pub(super) history: History,
    pub(super) meter: Mutex<Meter>,
    pub(super) thumbnails: Semaphore,
    answers: Mutex<HashMap<String, (Instant, Bytes)>>,
}

impl Shared {
    pub(super) fn new(
        (queries, models, context): (Queries, Arc<ModelRegistry>, SessionContext),
        (address, access, may_cancel): (DashboardAddress, Access, bool),
    ) -> Self {
        Self {
            history: History::in_home(models.home()),
            queries,
            models,
            context,
            access,
            may_cancel,
            address,
            meter: Mutex::default(),
            thumbnails: Semaphore::new(THUMBNAILS),
            answers: Mutex::default(),
        }
    }

    /// All queries of this process and, after them, those of earlier ones: last begun first.
    pub(super) fn list(&self) -> Value {
        let queries = self.queries.all();
        let is_known = |id: &Value| queries.iter().any(|query| id.as_str() == Some(query.id.as_str()));
        let earlier = self.history.earlier();
        let earlier = earlier.iter().filter(|query| !is_known(&query["id"])).map(|query| summary(query));
        let listed = queries.iter().map(|query| json!(query)).chain(earlier).collect::<Vec<_>>();
        json!({"queries": listed, "can_cancel": self.may_cancel})
    }

    /// All that is known of a query, of this process or an earlier one.
    pub(super) fn details(&self, id: &str) -> Option<Value> {
        let found = self.queries.get(id).map(|query| json!(*query));
        found.or_else(|| {
            self.history.earlier().iter().find(|query| query["id"] == id).map(|query| (**query).clone())
        })
    }

    /// The answer `name`, made once for all who ask within half a second; `None` if there is none.
    pub(super) fn answer(&self, name: &str, make: impl FnOnce() -> Option<Value>) -> Option<Bytes> {
        if let Some(answer) = self.kept(name) {
            return Some(answer);
        }
        let answer = Bytes::from(make()?.to_string());
        let mut answers = self.answers.lock();
        if answers.len() >= MOST_ANSWERS {
            answers.retain(|_, (made, _)| made.elapsed() < FRESH);
        }
        if answers.len() < MOST_ANSWERS {
            answers.insert(name.to_owned(), (Instant::now(), answer.clone()));
        }
        Some(answer)
    }

    /// The answer `name`, if it was made within half a second.
    pub(super) fn kept(&self, name: &str) -> Option<Bytes> {
        let answers = self.answers.lock();
        let (made, answer) = answers.get(name)?;
        (made.elapsed() < FRESH).then(|| answer.clone())
    }
}

/// What a list says of a query of an earlier process.
fn summary(details: &Value) -> Value {
    let left_out = [
        "accounts",
        "plan",
        "samples",
        "sampled_stages",
        "errors",
        "latest_errors",
        "slowest_images",
        "results",
        "sampled_rows",
        "bottleneck",
    ];
    let kept = details.as_object().into_iter().flatten().filter(|(key, _)| !left_out.contains(&key.as_str()));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// An answer that is JSON.
pub(super) fn json_answer(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// An error as JSON.
pub(super) fn refusal(status: StatusCode, error: &str) -> Response {
    let body = json!({"error": error}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
