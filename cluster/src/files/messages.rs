//! The messages of the service.

use prost::Message;

/// A client has these files while it listens.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Offered {
    #[prost(string, tag = "1")]
    pub(crate) secret: String,
    /// SHA-256 of each file, in lower-case hex.
    #[prost(string, repeated, tag = "2")]
    pub(crate) digests: Vec<String>,
}

/// An executor waits for a file. The first has no digest: the offer is known.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Wanted {
    /// Names whoever waits.
    #[prost(string, tag = "1")]
    pub(crate) number: String,
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
}

/// Bytes of a file, in their order.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Part {
    /// Whom it is for, in the first part of a client.
    #[prost(string, tag = "1")]
    pub(crate) number: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) bytes: bytes::Bytes,
    /// Why no more come, in the last part of a file that can't be read.
    #[prost(string, tag = "3")]
    pub(crate) failure: String,
}

/// The answer to all parts.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Given {}

/// An executor needs a file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Asked {
    #[prost(string, tag = "1")]
    pub(crate) secret: String,
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
}

/// Bytes of a file that the scheduler holds while its client is away, in their order.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Held {
    /// In the first part.
    #[prost(string, tag = "1")]
    pub(crate) secret: String,
    /// In the first part.
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) bytes: bytes::Bytes,
    /// How long the file is, in the first part.
    #[prost(uint64, tag = "4")]
    pub(crate) length: u64,
}

/// The files of a secret are held while a job needs them.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Kept {
    #[prost(string, tag = "1")]
    pub(crate) secret: String,
    #[prost(string, tag = "2")]
    pub(crate) job_id: String,
}
