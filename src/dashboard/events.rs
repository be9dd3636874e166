//! What changes, once a second, to all who listen.
//!
//! ```text
//!  every second: samples of running queries, the history ─► snapshot, if somebody listens ─► watch ─┬─► client
//!                                                                 one text for all                  ├─► client
//!                                                          a slow client misses what it is late for └─► …
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::shared::{Shared, refusal};

/// How often clients are told.
const TICK: Duration = Duration::from_secs(1);

/// Clients that may listen at once.
const MOST_CLIENTS: usize = 128;

/// A client's place in the stream, and among those who may listen.
type Listener = (watch::Receiver<Bytes>, OwnedSemaphorePermit);

/// Passes on what changes.
#[derive(Clone)]
pub(super) struct Events {
    last: watch::Receiver<Bytes>,
    clients: Arc<Semaphore>,
}

impl Events {
    /// Events, and what sends them. Its end ends the clients' streams.
    pub(super) fn new() -> (Self, watch::Sender<Bytes>) {
        let (sender, last) = watch::channel(Bytes::new());
        (Self { last, clients: Arc::new(Semaphore::new(MOST_CLIENTS)) }, sender)
    }
}

/// Sends a snapshot every second in which somebody listens.
pub(super) async fn send(shared: Arc<Shared>, events: Events, sender: watch::Sender<Bytes>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.queries.sample();
        shared.history.write(&shared.queries);
        if events.clients.available_permits() < MOST_CLIENTS {
            sender.send_replace(snapshot(&shared));
        }
    }
}

/// `GET /api/v1/events`: a snapshot now and one every second.
pub(super) fn events(shared: &Arc<Shared>, events: &Events) -> Response {
    let Ok(permit) = Arc::clone(&events.clients).try_acquire_owned() else {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many pages of this dashboard are open; close some",
        );
    };
    let mut last = events.last.clone();
    last.mark_unchanged();
    let now = stream::iter([Ok::<_, Infallible>(snapshot(shared))]);
    let later = stream::unfold((last, permit), |(mut last, permit): Listener| async move {
        last.changed().await.ok()?;
        let event = last.borrow_and_update().clone();
        Some((Ok(event), (last, permit)))
    });
    let body = Body::from_stream(now.chain(later));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// What is new, as one event.
fn snapshot(shared: &Shared) -> Bytes {
    let made = shared.answer("events", || {
        let running = shared.queries.running();
        let ended = shared.queries.ended().first().map(|query| query.summary.id.clone());
        let process = shared.meter.lock().read(&shared.context);
        Some(json!({"running": running, "last_ended": ended, "process": process}))
    });
    let data = made.unwrap_or_default();
    // JSON has no line ends.
    Bytes::from([b"event: snapshot\ndata: ".as_slice(), &data, b"\n\n"].concat())
}
