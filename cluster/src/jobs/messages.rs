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
