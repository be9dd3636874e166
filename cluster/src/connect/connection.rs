//! A connection to a scheduler, and what it means when a request fails.

use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::Address;
use super::patience::{SILENCE, is_silence, patient, silent};
use super::security::Security;
use crate::Error;
use crate::error::innermost;

/// Largest message between the processes: a plan that names a million files.
pub(crate) const MESSAGE_BYTES: u32 = 512 << 20;
pub(crate) type SchedulerClient = SchedulerGrpcClient<Channel>;

/// A connection to a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    address: Address,
    has_tls: bool,
    channel: Channel,
}

impl Connection {
    /// # Errors
    /// A scheduler that does not answer.
    pub(crate) async fn open(address: &Address, security: &Security) -> Result<Self, Error> {
        let unreachable = |error: tonic::transport::Error| Error::Unreachable {
            address: address.to_string(),
            reason: if is_silence(&error) { silent() } else { innermost(&error) },
        };
        let endpoint = Endpoint::from_shared(address.url(security.scheme())).map_err(unreachable)?;
        let endpoint = security.endpoint(patient(endpoint, SILENCE)).map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(Self { address: address.clone(), has_tls: security.has_tls(), channel })
    }

    /// For the services beside Ballista's.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Ballista's client.
    pub(crate) fn ballista(&self) -> SchedulerClient {
        SchedulerClient::new(self.channel())
            .max_encoding_message_size(MESSAGE_BYTES as usize)
            .max_decoding_message_size(MESSAGE_BYTES as usize)
    }

    /// The error of a request that the scheduler did not answer, or refused.
    pub(crate) fn failed(&self, status: &Status) -> Error {
        let address = self.address.to_string();
        match broken(status) {
            Broken::No => self.refused(status.message().to_owned()),
            Broken::Silent => Error::Silent { address, seconds: SILENCE.as_secs() },
            Broken::Ended(_) => Error::Unanswered { address, reason: self.reason(status) },
        }
    }

    /// The error of a request about a query that runs.
    pub(crate) fn lost(&self, status: &Status) -> Error {
        match broken(status) {
            Broken::No => self.lost_for(status.message().to_owned()),
            Broken::Silent => self.failed(status),
            Broken::Ended(reason) => self.lost_for(reason),
        }
    }

    /// That of a scheduler that does not know a query which ran.
    pub(crate) fn lost_for(&self, reason: String) -> Error {
        Error::Lost { address: self.address.to_string(), reason }
    }

    /// That of a scheduler that gives this reason.
    pub(crate) fn refused(&self, reason: String) -> Error {
        Error::Refused { address: self.address.to_string(), reason }
    }

    /// Why a request failed: the scheduler's reason, or what ended the connection.
    pub(crate) fn reason(&self, status: &Status) -> String {
        match broken(status) {
            Broken::No => status.message().to_owned(),
            Broken::Silent => silent(),
            Broken::Ended(reason) if self.has_tls => reason,
            Broken::Ended(reason) => format!("{reason}; if the cluster has TLS, --tls is missing"),
        }
    }
}

/// Whether a request failed since its connection did.
pub(crate) fn is_broken(status: &Status) -> bool {
    !matches!(broken(status), Broken::No)
}

enum Broken {
    /// The scheduler answered.
    No,
    Silent,
    Ended(String),
}

fn broken(status: &Status) -> Broken {
    // Only what the connection did has a cause here.
    match std::error::Error::source(status) {
        None => Broken::No,
        Some(cause) if is_silence(cause) => Broken::Silent,
        Some(cause) => Broken::Ended(innermost(cause)),
    }
}
