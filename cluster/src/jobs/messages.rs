//! The messages of the service.

use ballista_core::serde::protobuf::{JobStatus, OperatorWithMetrics};
use datafusion_proto::protobuf::Schema;
use prost::Message;

/// Asks about a job.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OfJob {
    #[prost(string, tag = "1")]
    pub(crate) job_id: String,
}

/// Asks how far a job is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StagesOfJob {
    #[prost(string, tag = "1")]
    pub(crate) job_id: String,
    /// Whether lists are told, too.
    #[prost(bool, tag = "2")]
    pub(crate) lists: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Nothing {}

/// How far a job is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stages {
    /// None of a job that is not planned yet.
    #[prost(message, repeated, tag = "1")]
    pub(crate) stages: Vec<Stage>,
    /// Stages that wait for these.
    #[prost(uint32, tag = "2")]
    pub(crate) waiting: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stage {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) tasks: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) ended: u32,
    /// From the top down, with the sums over all tasks that have ended.
    #[prost(message, repeated, tag = "4")]
    pub(crate) operators: Vec<OperatorWithMetrics>,
}

/// The jobs that a scheduler knows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Listed {
    #[prost(message, repeated, tag = "1")]
    pub(crate) jobs: Vec<ListedJob>,
    /// The scheduler's clock, in milliseconds since 1970.
    #[prost(uint64, tag = "2")]
    pub(crate) now: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListedJob {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<JobStatus>,
    #[prost(message, optional, tag = "2")]
    pub(crate) stages: Option<Stages>,
}

/// What a job gives.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Results {
    /// None of a job that is not planned yet.
    #[prost(message, optional, tag = "1")]
    pub(crate) schema: Option<Schema>,
}

/// What an executor tells of itself, beside what Ballista's own messages tell.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Report {
    #[prost(string, tag = "1")]
    pub(crate) executor_id: String,
    #[prost(uint32, tag = "2")]
    pub(crate) running: u32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) models: Vec<Model>,
}

/// A model that an executor has loaded.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Model {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// SHA-256 of its file, in lower-case hex.
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
    #[prost(uint32, tag = "3")]
    pub(crate) sessions: u32,
    #[prost(string, tag = "4")]
    pub(crate) device: String,
    /// In milliseconds since 1970, by the executor's clock.
    #[prost(uint64, tag = "5")]
    pub(crate) since: u64,
}

/// The models that jobs are about to need, each as its plan's own process writes it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Needed {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) models: Vec<bytes::Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Executors {
    #[prost(message, repeated, tag = "1")]
    pub(crate) executors: Vec<Executor>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Executor {
    #[prost(string, tag = "1")]
    pub(crate) host: String,
    #[prost(uint32, tag = "2")]
    pub(crate) port: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) cores: u32,
    /// When it asked for tasks last, in milliseconds since 1970.
    #[prost(uint64, tag = "4")]
    pub(crate) last_seen: u64,
    /// None if it has not sent any yet.
    #[prost(message, optional, tag = "5")]
    pub(crate) report: Option<Report>,
    #[prost(string, tag = "6")]
    pub(crate) id: String,
}
