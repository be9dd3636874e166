//! The server: a thread and a port, which end with it.

use std::fmt;
use std::future::{Ready, ready};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use datafusion::common::runtime::SpawnedTask;
use datafusion::prelude::SessionContext;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::access::{Access, guard};
use super::address::DashboardAddress;
use super::events::{Events, events, send};
use super::shared::Shared;
use super::{api, executors, page, thumbnails};
use crate::model::ModelRegistry;
use crate::queries::Queries;
use crate::{Error, Result};

/// How long requests in progress may take when the dashboard ends.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A dashboard that is open until it is dropped.
pub(crate) struct Dashboard {
    url: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Opens a dashboard.
    ///
    /// # Errors
    /// An address that is in use, or that this machine does not have.
    pub(crate) fn open(
        address: DashboardAddress,
        may_cancel: bool,
        engine: (Queries, Arc<ModelRegistry>, SessionContext),
    ) -> Result<Self> {
        let failed = |error| Error::Dashboard(unopened(address, &error));
        let listener = TcpListener::bind(address.0).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        // The port is the system's choice if it was 0.
        let address = DashboardAddress(listener.local_addr().map_err(failed)?);
        let access = Access::new(address.is_local())?;
        let url = match access.token() {
            Some(token) => format!("http://{address}/?token={token}"),
            None => format!("http://{address}/"),
        };
        engine.0.keep_records();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (end, ended) = oneshot::channel();
        let serve =
            move || run(&runtime, listener, ended, Shared::new(engine, (address, access, may_cancel)));
        let thread =
            thread::Builder::new().name("seequel-dashboard".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Self { url, end: Some(end), thread: Some(thread) })
    }

    /// The link that opens it, with the token if it asks for one.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Ends it: the port is free and the thread has ended afterwards.
impl Drop for Dashboard {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // The server may have ended.
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the dashboard's server has failed; this is a bug");
        }
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").finish_non_exhaustive()
    }
}

/// Serves until the end; the history is complete then.
fn run(runtime: &Runtime, listener: TcpListener, ended: oneshot::Receiver<()>, shared: Shared) {
    let shared = Arc::new(shared);
    let served = runtime.block_on(serve(listener, ended, Arc::clone(&shared)));
    if let Err(error) = served {
        tracing::error!("the dashboard has ended: {error}");
    }
    shared.history.write(&shared.queries);
}

async fn serve(
    listener: TcpListener,
    ended: oneshot::Receiver<()>,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (subscription, sender) = Events::new();
    let sending = SpawnedTask::spawn(send(Arc::clone(&shared), subscription.clone(), sender));
    let (close, closing) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(shared, subscription)).with_graceful_shutdown(async {
        // An error means the same.
        let _ = closing.await;
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        result = &mut server => return result,
        // An error means that the dashboard is gone, which ends it too.
        _ = ended => {}
    }
    // Event streams end with their sender.
    drop(sending);
    let _ = close.send(());
    timeout(LAST_ANSWERS, server).await.unwrap_or(Ok(()))
}

fn router(shared: Arc<Shared>, subscription: Events) -> Router {
    let stream = move |State(shared): State<Arc<Shared>>| ready(events(&shared, &subscription));
    page::files()
        .fold(Router::new(), |router, (address, file)| router.route(address, file))
        .route("/api/v1/events", get(stream))
        .route("/api/v1/queries", get(answer(api::queries)))
        .route("/api/v1/queries/{id}", get(answer_about(api::query)))
        .route("/api/v1/queries/{id}/cancel", post(answer_about(api::cancel)))
        .route("/api/v1/queries/{id}/{part}/{number}/image", get(thumbnails::image))
        .route("/api/v1/models", get(api::models))
        .route("/api/v1/devices", get(api::devices))
        .route("/api/v1/executors", get(executors::executors))
        .route("/api/v1/process", get(answer(api::process)))
        .route("/api/v1/openapi.json", get(answer(api::description)))
        .route("/metrics", get(answer(api::prometheus)))
        .fallback(|| ready(api::nothing()))
        .with_state(Arc::clone(&shared))
        .layer(from_fn_with_state(shared, guard))
}

/// Answers at once.
fn answer(
    make: fn(&Arc<Shared>) -> Response,
) -> impl Fn(State<Arc<Shared>>) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |State(shared)| ready(make(&shared))
}

/// Answers at once what is asked about a query.
fn answer_about(
    make: fn(&Arc<Shared>, &str) -> Response,
) -> impl Fn(State<Arc<Shared>>, Path<String>) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |State(shared), Path(id)| ready(make(&shared, &id))
}

/// Why a dashboard can't be opened, and what to do.
fn unopened(address: DashboardAddress, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "cannot open the dashboard at {address}: the port is in use, perhaps by another Seequel; choose another, such as --dashboard {}",
            address.0.port().wrapping_add(1)
        ),
        _ => format!("cannot open the dashboard at {address}: {error}"),
    }
}
