//! The client's side: it offers files while it waits for a query.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::runtime::{JoinSet, SpawnedTask};
use futures::future::ready;
use futures::stream::{self, StreamExt};
use tokio::sync::oneshot;
use tonic::transport::Channel;

use super::messages::{Held, Kept, Offered, Part, Wanted};
use super::parts::parts;
use super::service::files_client::FilesClient;
use crate::Error;
use crate::connect::Connection;

/// A file that executors may ask for.
#[derive(Debug, Clone)]
pub struct OfferedFile {
    /// Its SHA-256 in lower-case hex.
    pub digest: String,
    /// Where it is on this machine.
    pub path: PathBuf,
}

/// An offer, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Offer {
    _task: SpawnedTask<()>,
}

/// Offers files to whoever knows `secret`; they are read when they are asked for.
///
/// # Errors
/// A scheduler that does not answer, or knows no offers.
pub(crate) async fn offer(
    connection: &Connection,
    secret: &str,
    files: Arc<[OfferedFile]>,
) -> Result<Offer, Error> {
    let failed = |status| connection.failed(&status);
    let mut scheduler = FilesClient::new(connection.channel());
    let digests = files.iter().map(|file| file.digest.clone()).collect();
    let offered = Offered { secret: secret.to_owned(), digests };
    let mut wanted = scheduler.offer(offered).await.map_err(failed)?.into_inner();
    // The first says that the offer is known.
    wanted.message().await.map_err(failed)?;
    let task = SpawnedTask::spawn(async move {
        let mut giving = JoinSet::new();
        while let Ok(Some(wanted)) = wanted.message().await {
            giving.spawn(give(scheduler.clone(), wanted, Arc::clone(&files)));
            while giving.try_join_next().is_some() {}
        }
    });
    Ok(Offer { _task: task })
}

async fn give(mut scheduler: FilesClient<Channel>, wanted: Wanted, files: Arc<[OfferedFile]>) {
    let Wanted { number, digest } = wanted;
    let Some(file) = files.iter().find(|file| file.digest == digest) else { return };
    let path = file.path.display().to_string();
    tracing::info!("sending '{path}' to an executor");
    let first = Part { number, ..Part::default() };
    let parts = stream::iter([first]).chain(parts(file.path.clone(), "the client"));
    if let Err(error) = scheduler.give(parts).await {
        tracing::warn!("'{path}' was not sent whole to an executor: {}", error.message());
    }
}

/// Gives files to the scheduler, which holds them for whoever knows `secret`.
///
/// # Errors
/// A file that can't be read, a scheduler that can't hold it.
pub(crate) async fn hold(connection: &Connection, secret: &str, files: &[OfferedFile]) -> Result<(), Error> {
    let mut scheduler = FilesClient::new(connection.channel());
    for OfferedFile { digest, path } in files {
        tracing::info!("sending '{}' to the scheduler", path.display());
        let length = tokio::fs::metadata(path).await.map(|metadata| metadata.len());
        let length = length.map_err(|error| {
            connection.refused(format!("'{}': this machine can't read it: {error}", path.display()))
        })?;
        let (secret, digest) = (secret.to_owned(), digest.clone());
        let first = Held { secret, digest, length, ..Held::default() };
        let (unreadable, mut failure) = oneshot::channel();
        // A part that tells a failure ends the file here.
        let parts = parts(path.clone(), "this machine");
        let parts = parts.scan(Some(unreadable), |unreadable, Part { bytes, failure, .. }| {
            if failure.is_empty() {
                return ready(Some(Held { bytes, ..Held::default() }));
            }
            if let Some(unreadable) = unreadable.take() {
                // It is received below.
                let _ = unreadable.send(failure);
            }
            ready(None)
        });
        let given = scheduler.hold(stream::iter([first]).chain(parts)).await;
        if let Ok(reason) = failure.try_recv() {
            return Err(connection.refused(format!("'{}': {reason}", path.display())));
        }
        given.map_err(|status| connection.failed(&status))?;
    }
    Ok(())
}

/// Lets the scheduler hold the files of `secret` until a job has ended.
///
/// # Errors
/// A scheduler that does not answer.
pub(crate) async fn keep(connection: &Connection, secret: &str, job_id: &str) -> Result<(), Error> {
    let kept = Kept { secret: secret.to_owned(), job_id: job_id.to_owned() };
    let kept = FilesClient::new(connection.channel()).keep(kept).await;
    kept.map(drop).map_err(|status| connection.failed(&status))
}
