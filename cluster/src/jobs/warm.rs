//! Models that an executor loads before it has a task that uses them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;
use tonic::Streaming;
use tonic::transport::Channel;

use super::messages::{Needed, Nothing};
use super::service::jobs_client::JobsClient;

/// Between two attempts to hear of the scheduler what is needed.
const RETRIED_EVERY: Duration = Duration::from_secs(10);

/// Loads a model of [`ModelsOf`](super::ModelsOf), if that is possible: a task that uses it says why it is not.
pub type LoadModel = Arc<dyn Fn(Bytes) -> BoxFuture<'static, ()> + Send + Sync>;

/// Loads the models that jobs of the scheduler are about to need, one after the other, until dropped.
pub(crate) async fn warm(scheduler: Channel, load: LoadModel) {
    let mut scheduler = JobsClient::new(scheduler);
    loop {
        match scheduler.needed(Nothing {}).await {
            Ok(needed) => load_needed(needed.into_inner(), &load).await,
            Err(status) => tracing::debug!("which models are needed is not known: {}", status.message()),
        }
        sleep(RETRIED_EVERY).await;
    }
}

/// Returns when the scheduler tells no more.
async fn load_needed(mut needed: Streaming<Needed>, load: &LoadModel) {
    // Of what is needed, what is not loaded yet, and what is loaded, was tried or is tried now.
    let (mut waiting, mut tried): (Vec<Bytes>, Vec<Bytes>) = (vec![], vec![]);
    let mut loading = FuturesUnordered::new();
    loop {
        if loading.is_empty()
            && let Some(model) = waiting.pop()
        {
            tried.push(model.clone());
            loading.push(load(model));
        }
        tokio::select! {
            message = needed.message() => {
                let Ok(Some(Needed { models })) = message else { return };
                tried.retain(|model| models.contains(model));
                waiting = models;
                waiting.retain(|model| !tried.contains(model));
            }
            Some(()) = loading.next(), if !loading.is_empty() => {}
        }
    }
}
