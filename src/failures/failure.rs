//! What went wrong with a row.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a row failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The entry of a folder can't be listed, so that there is no row.
    List,
    /// The file can't be read, or an image function gave no image.
    Read,
    /// A process died of the row's image, and died again when it worked on nothing else.
    Crash,
    /// The bytes are not an image.
    Decode,
    /// An image function has no result.
    Function,
    /// The image or the numbers don't fit the model's input.
    Preprocess,
    /// The model rejects the row.
    Infer,
    /// The model's outputs are not what its task says.
    Postprocess,
    /// There is nothing to write as the row's file.
    Write,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Crash => "crash",
            Self::Decode => "decode",
            Self::Function => "function",
            Self::Preprocess => "preprocess",
            Self::Infer => "infer",
            Self::Postprocess => "postprocess",
            Self::Write => "write",
        })
    }
}

/// Why a row has no prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn new(stage: Stage, reason: impl Into<String>) -> Self {
        Self { stage, reason: reason.into() }
    }
}

/// A failure with the row it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedRow {
    /// The row's name, such as the path of its file, if it has one.
    pub(crate) path: Option<String>,
    pub(crate) stage: Stage,
    pub(crate) error: String,
    /// The model that failed on it, if one did.
    pub(crate) model: Option<String>,
}

impl fmt::Display for FailedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, error, .. } = self;
        write!(f, "{}: {error}", path.as_deref().unwrap_or("a row"))
    }
}
