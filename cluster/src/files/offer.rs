//! The client's side: it offers files while it waits for a query.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use futures::stream::{self, Stream, StreamExt};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tonic::transport::Channel;

use super::PART_BYTES;
use super::messages::{Offered, Part, Wanted};
use super::service::files_client::FilesClient;
use crate::{Address, Error};

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
    address: &Address,
    scheduler: Channel,
    secret: &str,
    files: Arc<[OfferedFile]>,
) -> Result<Offer, Error> {
    let refused = |status: tonic::Status| Error::Refused {
        address: address.to_string(),
        reason: status.message().to_owned(),
    };
    let mut scheduler = FilesClient::new(scheduler);
    let digests = files.iter().map(|file| file.digest.clone()).collect();
    let offered = Offered { secret: secret.to_owned(), digests };
    let mut wanted = scheduler.offer(offered).await.map_err(refused)?.into_inner();
    // The first says that the offer is known.
    wanted.message().await.map_err(refused)?;
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
    let parts = stream::iter([first]).chain(parts(file.path.clone()));
    if let Err(error) = scheduler.give(parts).await {
        tracing::warn!("'{path}' was not sent whole to an executor: {}", error.message());
    }
}

/// The parts of a file, until one can't be read.
fn parts(path: PathBuf) -> impl Stream<Item = Part> + Send {
    enum Reading {
        Closed(PathBuf),
        Open(File),
        Failed,
    }
    stream::unfold(Reading::Closed(path), |reading| async move {
        let read = async {
            let mut file = match reading {
                Reading::Closed(path) => File::open(path).await?,
                Reading::Open(file) => file,
                Reading::Failed => return Ok(None),
            };
            let bytes = next(&mut file).await?;
            Ok::<_, io::Error>(bytes.map(|bytes| (bytes, file)))
        };
        match read.await {
            Ok(None) => None,
            Ok(Some((bytes, file))) => Some((Part { bytes, ..Part::default() }, Reading::Open(file))),
            Err(error) => {
                let failure = format!("the client can't read it: {error}");
                Some((Part { failure, ..Part::default() }, Reading::Failed))
            }
        }
    })
}

/// The next bytes of a file, if any.
async fn next(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut bytes = BytesMut::with_capacity(PART_BYTES);
    while bytes.len() < PART_BYTES {
        if file.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok((!bytes.is_empty()).then(|| bytes.freeze()))
}
