//! Everything that can go wrong, as sentences a user can act on.
//!
//! Errors of the user, of a file or of a model are [`Error`]s; they travel through DataFusion as
//! [`DataFusionError::External`] and come back out unchanged. `DataFusionError::Internal` is kept for bugs.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

/// An error of a statement, a model, an image location or the installation.
///
/// Every message names the culprit (model, option, file) and, where there is one, the way out.
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

    /// A setting of a model that is unknown, malformed or contradicts the ONNX file.
    #[error("model '{model}': option '{option}': {reason}")]
    Option {
        /// Name given in `CREATE MODEL`.
        model: String,
        /// Key as written in OPTIONS or `seequel.json`.
        option: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },

    /// A name that no model bears.
    #[error("there is no model '{name}'; {hint}")]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The models there are, or how to make one.
        hint: String,
    },

    /// A place where images should be, but none can be.
    #[error("images '{location}': {reason}")]
    Images {
        /// Location as the user wrote it.
        location: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A bucket, container or server that can't be used as it was asked to be.
    #[error("{store}: {reason}")]
    Store {
        /// Scheme and name: `s3://bucket`.
        store: String,
        /// What is wrong with it, and what to set.
        reason: String,
    },

    /// ONNX Runtime is missing, unusable, or refused a model or a batch.
    #[error("{0}")]
    Runtime(String),

    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// An error of the query engine itself.
    #[error(transparent)]
    DataFusion(#[from] DataFusionError),
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
