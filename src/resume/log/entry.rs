//! The entries of a log, as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::statement::StatementRecord;

/// One entry; `time` is in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A process begins or continues the statement.
    Start {
        statement: Box<StatementRecord>,
        /// Random; the names of its files have it.
        run: String,
        process: u32,
        time: u64,
    },
    /// The files of a part are in place.
    Commit {
        run: String,
        rows: u64,
        /// Rows that have failed and were left out, which are finished too.
        #[serde(default)]
        skipped: u64,
        bytes: u64,
        /// Paths of the files below the folder.
        files: Vec<String>,
        /// Name of the file of their keys' hashes, 16 bytes each, in the log's folder.
        keys: String,
        /// Name of the file of the failures in these rows, if there are any.
        #[serde(default)]
        errors: Option<String>,
        /// Of a run on a cluster: the task whose rows these are, all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<u64>,
        /// Name of the file of the failures in other rows that the task has read, if there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        other_errors: Option<String>,
        time: u64,
    },
    /// A process ends as planned.
    End {
        run: String,
        /// Whether all images that the scan found are done.
        is_complete: bool,
        time: u64,
    },
}

impl Entry {
    /// Whether it begins a run.
    pub(crate) fn is_start(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    /// Whether it ends this run.
    #[cfg(any(test, feature = "cluster"))]
    pub(crate) fn ends(&self, run: &str) -> bool {
        matches!(self, Self::End { run: ended, .. } if ended == run)
    }

    /// Whether it has the rows of a task of this run.
    #[cfg(any(test, feature = "cluster"))]
    pub(crate) fn is_of_task(&self, run: &str, task: u64) -> bool {
        matches!(self, Self::Commit { run: of, task: Some(number), .. } if of == run && *number == task)
    }

    /// The files beside it in the log's folder.
    pub(crate) fn files_of_log(&self) -> impl Iterator<Item = &str> {
        let files = match self {
            Self::Commit { keys, errors, other_errors, .. } => {
                [Some(keys.as_str()), errors.as_deref(), other_errors.as_deref()]
            }
            _ => [None; 3],
        };
        files.into_iter().flatten()
    }
}

pub(crate) fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
