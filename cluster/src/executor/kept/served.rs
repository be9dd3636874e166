//! The service that gives results to clients and other executors.

use std::path::{Path, PathBuf};

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use ballista_core::execution_plans::create_shuffle_path;
use ballista_core::execution_plans::sort_shuffle::get_index_path;
use ballista_core::serde::decode_protobuf;
use ballista_core::serde::scheduler::{Action as Wanted, ShuffleLayout};
use ballista_executor::flight_service::BallistaFlightService;
use futures::stream::BoxStream;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status, Streaming};

use crate::Error;
use crate::connect::{MESSAGE_BYTES, Security, incoming};

/// Gives results to clients and other executors, until dropped.
pub(in crate::executor) fn serve_results(
    listener: TcpListener,
    folder: &Path,
    security: &Security,
) -> Result<JoinSet<Result<(), tonic::transport::Error>>, Error> {
    let results = FlightServiceServer::new(Served::new(folder))
        .max_decoding_message_size(MESSAGE_BYTES as usize)
        .max_encoding_message_size(MESSAGE_BYTES as usize);
    let server = security.server()?.add_service(InterceptedService::new(results, security.guard()));
    let mut serving = JoinSet::new();
    serving.spawn(server.serve_with_incoming(incoming(listener)));
    Ok(serving)
}

/// Ballista's service that gives the files to clients and other executors, without those that lack their index.
pub(crate) struct Served {
    inner: BallistaFlightService,
    folder: PathBuf,
}

impl Served {
    /// Gives the files in an executor's folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let inner = BallistaFlightService::new(folder.to_string_lossy().into_owned());
        Self { inner, folder: folder.to_owned() }
    }

    /// Checks that the file that `wanted` was opened for, Ballista's encoded request, still has its index.
    fn check(&self, wanted: &[u8]) -> Result<(), Status> {
        let wanted = decode_protobuf(wanted).map_err(|error| Status::internal(error.to_string()))?;
        let Wanted::FetchPartition { job_id, stage_id, partition_id, file_id, layout, .. } = wanted;
        if layout != ShuffleLayout::Sort {
            return Ok(());
        }
        let data = create_shuffle_path(&self.folder, &job_id, stage_id, partition_id, file_id, true);
        let data = data.map_err(|error| Status::internal(error.to_string()))?;
        let index = get_index_path(&data);
        if index.exists() {
            return Ok(());
        }
        Err(Status::internal(format!("{}: results were deleted", index.display())))
    }
}

type Answered<T> = Result<Response<T>, Status>;

fn unused<T>() -> Answered<T> {
    Err(Status::unimplemented("executors only give results"))
}

#[tonic::async_trait]
impl FlightService for Served {
    type DoActionStream = <BallistaFlightService as FlightService>::DoActionStream;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoGetStream = <BallistaFlightService as FlightService>::DoGetStream;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;

    async fn do_get(&self, request: Request<Ticket>) -> Answered<Self::DoGetStream> {
        let wanted = request.get_ref().ticket.clone();
        let opened = self.inner.do_get(request).await?;
        self.check(&wanted)?;
        Ok(opened)
    }

    async fn do_action(&self, request: Request<Action>) -> Answered<Self::DoActionStream> {
        let wanted = request.get_ref().body.clone();
        let opened = self.inner.do_action(request).await?;
        self.check(&wanted)?;
        Ok(opened)
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answered<Self::HandshakeStream> {
        unused()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answered<Self::ListFlightsStream> {
        unused()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<FlightInfo> {
        unused()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<PollInfo> {
        unused()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answered<SchemaResult> {
        unused()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoPutStream> {
        unused()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoExchangeStream> {
        unused()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answered<Self::ListActionsStream> {
        unused()
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::Ticket;
    use arrow_flight::flight_service_client::FlightServiceClient;
    use tonic::Code;
    use tonic::transport::Endpoint;

    use super::*;

    /// How a request for results ends whose ticket means nothing.
    async fn ask(port: u16, security: &Security) -> Code {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let channel = security.endpoint(endpoint).unwrap().connect().await.unwrap();
        let ticket = Ticket { ticket: "none".into() };
        FlightServiceClient::new(channel).do_get(ticket).await.unwrap_err().code()
    }

    #[tokio::test]
    async fn results_are_given_only_for_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |text: &str| {
            let file = folder.path().join("token");
            std::fs::write(&file, text).unwrap();
            Security::load(Some(&file), None).unwrap()
        };
        let ours = secret("a-token-of-the-tests-0123456789");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _serving = serve_results(listener, folder.path(), &ours).unwrap();
        assert_eq!(ask(port, &Security::default()).await, Code::Unauthenticated);
        assert_eq!(ask(port, &secret("another-token-of-the-tests-0123")).await, Code::Unauthenticated);
        // The ticket is read, and found to mean nothing.
        assert_eq!(ask(port, &ours).await, Code::Internal);
    }
}
