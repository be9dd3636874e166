//! Errors, with messages that a user can act on.
//!
//! Errors of the user, a file or a model are [`Error`]s; they pass through DataFusion unchanged as
//! [`DataFusionError::External`]. `DataFusionError::Internal` is reserved for bugs.

use std::path::PathBuf;
use std::time::Duration;

use datafusion::error::DataFusionError;

/// An error of a statement, a model, an image location or the installation.
///
/// Every message names its subject (model, option, file) and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model that can't be used, and why.
    #[error("model '{model}': {reason}")]
    Model {
        /// Name given in `CREATE MODEL`.
        model: String,
        /// A full sentence without the final stop.
        reason: String,
    },

    /// A model option that is unknown, malformed or contradicts the ONNX file.
    #[error("model '{model}': option '{option}': {reason}")]
    Option {
        /// Name given in `CREATE MODEL`.
        model: String,
        /// Key as written in OPTIONS or `seequel.json`.
        option: String,
        /// What is wrong with it and what is valid.
        reason: String,
    },

    /// A model name that is not registered.
    #[error("there is no model '{name}'; {hint}")]
    UnknownModel {
        /// The requested name.
        name: String,
        /// The existing models, or how to create one.
        hint: String,
    },

    /// A format of `STORED AS` that the session has not.
    #[error("there is no format {name}; {hint}")]
    UnknownFormat {
        /// The requested name.
        name: String,
        /// The existing formats.
        hint: String,
    },

    /// An image location that can't be used.
    #[error("images '{location}': {reason}")]
    Images {
        /// Location as the user wrote it.
        location: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A file or folder that COPY or INSERT can't write.
    #[error("'{target}': {reason}")]
    Target {
        /// Location as the user wrote it.
        target: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// A file of a table that can't be read.
    #[error("'{file}': {reason}")]
    Damaged {
        /// Where it is.
        file: String,
        /// What its reader says.
        reason: String,
    },

    /// A bucket, container or server that can't be used as configured.
    #[error("{store}: {reason}")]
    Store {
        /// Scheme and name: `s3://bucket`.
        store: String,
        /// What is wrong with it, and what to set.
        reason: String,
    },

    /// ONNX Runtime is missing, unusable, or rejected a model or a batch.
    #[error("{0}")]
    Runtime(String),

    /// A query that can't run on a cluster, and what to do.
    #[cfg(feature = "cluster")]
    #[error("{0}")]
    Cluster(String),

    /// A dashboard that can't be opened, and what to do.
    #[error("{0}")]
    Dashboard(String),

    /// A bug, most often in what reads a file that is damaged in an unexpected way.
    #[error("a part of the query panicked: {message}; a file that it reads may be damaged")]
    Panicked {
        /// What the panic says.
        message: String,
    },

    /// A query that was ended by [`QueryHandle::cancel`](crate::QueryHandle::cancel).
    #[error("the query was cancelled")]
    Cancelled,

    /// A query that ran longer than its time-out.
    #[error("the query ran longer than its time-out of {0:?}")]
    TimedOut(Duration),

    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },

    /// An error of the query engine itself.
    #[error(transparent)]
    DataFusion(#[from] DataFusionError),
}

impl Error {
    /// The error of `what` in a query on a cluster.
    #[cfg(feature = "cluster")]
    pub(crate) fn not_on_cluster(what: &str) -> DataFusionError {
        Self::Cluster(format!("{what} can't run on a cluster yet; it can without --cluster")).into()
    }
}

/// Result of Seequel's own functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::DataFusion(inner) => inner,
            other => Self::External(Box::new(other)),
        }
    }
}
