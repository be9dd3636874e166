//! The scheduler's side: it brings together who has a file and who needs it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::held::HeldFiles;
use super::messages::{Asked, Given, Held, Kept, Offered, Part, Wanted};
use super::parts::parts;
use super::service::files_server::{Files, FilesServer};

/// Parts that wait in the scheduler for a slow receiver.
const AHEAD: usize = 4;
/// Requests that wait for a client.
const WAITING: usize = 1000;

/// The service of what `relay` knows.
pub(crate) fn files(relay: Relay) -> FilesServer<Relay> {
    FilesServer::new(relay)
}

/// Offers of clients, and executors that wait for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relay {
    state: Arc<Mutex<State>>,
    held: Arc<HeldFiles>,
}

#[derive(Debug, Default)]
struct State {
    offers: HashMap<Uuid, KnownOffer>,
    /// Where the parts for a number go.
    waiting: HashMap<String, mpsc::Sender<Result<Part, Status>>>,
}

#[derive(Debug)]
struct KnownOffer {
    offered: Offered,
    client: mpsc::Sender<Result<Wanted, Status>>,
}

impl Relay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs that files are held for.
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.held.jobs()
    }

    /// Deletes the files that are held for other jobs than these.
    pub(crate) fn forget_but(&self, running: &HashSet<String>) {
        self.held.forget_but(running);
    }

    /// The client that offers a file.
    fn client_with(&self, asked: &Asked) -> Option<mpsc::Sender<Result<Wanted, Status>>> {
        let state = self.state();
        let mut offers = state.offers.values();
        let has = |offer: &&KnownOffer| {
            offer.offered.secret == asked.secret && offer.offered.digests.contains(&asked.digest)
        };
        offers.find(has).map(|offer| offer.client.clone())
    }
}

#[tonic::async_trait]
impl Files for Relay {
    type OfferStream = BoxStream<'static, Result<Wanted, Status>>;
    type TakeStream = BoxStream<'static, Result<Part, Status>>;

    async fn offer(&self, request: Request<Offered>) -> Result<Response<Self::OfferStream>, Status> {
        let offered = request.into_inner();
        if offered.secret.is_empty() {
            return Err(Status::invalid_argument("an offer has a secret"));
        }
        let (client, wanted) = mpsc::channel(WAITING);
        let id = Uuid::new_v4();
        self.state().offers.insert(id, KnownOffer { offered, client });
        let relay = self.clone();
        let known = Forgotten(move || drop(relay.state().offers.remove(&id)));
        let first = stream::iter([Ok(Wanted::default())]);
        Ok(Response::new(first.chain(received(wanted, known)).boxed()))
    }

    async fn give(&self, request: Request<Streaming<Part>>) -> Result<Response<Given>, Status> {
        let mut parts = request.into_inner();
        let mut receiver = None;
        while let Some(part) = parts.message().await? {
            if receiver.is_none() {
                receiver = self.state().waiting.remove(&part.number);
            }
            let receiver =
                receiver.as_ref().ok_or_else(|| Status::not_found("nobody waits for these parts"))?;
            if receiver.send(Ok(part)).await.is_err() {
                return Err(Status::cancelled("the executor has gone"));
            }
        }
        Ok(Response::new(Given {}))
    }

    async fn take(&self, request: Request<Asked>) -> Result<Response<Self::TakeStream>, Status> {
        let asked = request.into_inner();
        if let Some(path) = self.held.path(&asked) {
            return Ok(Response::new(parts(path, "the scheduler").map(Ok).boxed()));
        }
        let client = self.client_with(&asked);
        let client = client.ok_or_else(|| Status::not_found("no client offers it now"))?;
        let number = Uuid::new_v4().to_string();
        let (sender, coming) = mpsc::channel(AHEAD);
        self.state().waiting.insert(number.clone(), sender);
        let (relay, waiting) = (self.clone(), number.clone());
        let known = Forgotten(move || drop(relay.state().waiting.remove(&waiting)));
        let wanted = Wanted { number, digest: asked.digest };
        client.try_send(Ok(wanted)).map_err(|_| Status::unavailable("the client does not answer"))?;
        Ok(Response::new(received(coming, known).boxed()))
    }

    async fn hold(&self, request: Request<Streaming<Held>>) -> Result<Response<Given>, Status> {
        self.held.hold(request.into_inner()).await?;
        Ok(Response::new(Given {}))
    }

    async fn keep(&self, request: Request<Kept>) -> Result<Response<Given>, Status> {
        self.held.keep(request.into_inner());
        Ok(Response::new(Given {}))
    }
}

/// What a channel gives; `known` is forgotten with the stream.
fn received<T: Send + 'static>(
    channel: mpsc::Receiver<T>,
    known: impl Send + 'static,
) -> impl futures::Stream<Item = T> + Send {
    stream::unfold((channel, known), |(mut channel, known)| async move {
        let item = channel.recv().await?;
        Some((item, (channel, known)))
    })
}

/// Runs when it is dropped.
struct Forgotten<F: FnMut()>(F);

impl<F: FnMut()> Drop for Forgotten<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;
    use tokio::net::TcpListener;
    use tonic::transport::Server;

    use super::super::offer::{OfferedFile, hold};
    use super::*;
    use crate::connect::{Connection, Security, incoming};

    #[tokio::test]
    async fn a_file_without_space_is_refused_before_it_is_sent() {
        let held = Arc::new(HeldFiles::of_at_most(5 << 20));
        let relay = Relay { held, ..Relay::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = Server::builder().add_service(files(relay.clone()));
        let _serving = SpawnedTask::spawn(server.serve_with_incoming(incoming(listener)));
        let connection = Connection::open(&address, &Security::default()).await.unwrap();

        let folder = tempfile::tempdir().unwrap();
        let file = |megabytes: usize| {
            let (digest, path) = (megabytes.to_string(), folder.path().join(megabytes.to_string()));
            std::fs::write(&path, vec![0; megabytes << 20]).unwrap();
            [OfferedFile { digest, path }]
        };
        let error = hold(&connection, "secret", &file(50)).await.unwrap_err().to_string();
        assert!(
            error.contains("refused the query: with the 50 MB of this model it would hold more"),
            "{error}"
        );
        assert!(error.contains("more than 5 MB for detached queries, of which 0 MB are taken"), "{error}");
        hold(&connection, "secret", &file(4)).await.unwrap();
        let asked = Asked { secret: "secret".to_owned(), digest: "4".to_owned() };
        assert_eq!(relay.held.path(&asked).unwrap().metadata().unwrap().len(), 4 << 20);
    }
}
