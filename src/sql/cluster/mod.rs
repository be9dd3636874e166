//! Statements about the cluster of a session: its jobs and executors.

mod run;

use std::fmt;

use datafusion::common::utils::quote_identifier;
use datafusion::sql::sqlparser::ast::Value;

pub(super) use run::{run, show_models};

/// A statement about the cluster that `--cluster` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterStatement {
    /// `SHOW JOBS`
    ShowJobs,
    /// `SHOW EXECUTORS`
    ShowExecutors,
    /// `CANCEL JOB 'id'`
    CancelJob {
        /// The job, as `SHOW JOBS` lists it.
        id: String,
    },
    /// `ATTACH 'id' [AS name]`
    Attach {
        /// The job, as `SHOW JOBS` lists it.
        id: String,
        /// The table that it becomes; without one, its rows are the result.
        name: Option<String>,
    },
}

impl ClusterStatement {
    /// Whether the statement lists something.
    pub(super) fn is_list(&self) -> bool {
        match self {
            Self::ShowJobs | Self::ShowExecutors => true,
            Self::CancelJob { .. } | Self::Attach { .. } => false,
        }
    }
}

impl fmt::Display for ClusterStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShowJobs => f.write_str("SHOW JOBS"),
            Self::ShowExecutors => f.write_str("SHOW EXECUTORS"),
            Self::CancelJob { id } => write!(f, "CANCEL JOB {}", Value::SingleQuotedString(id.clone())),
            Self::Attach { id, name } => {
                write!(f, "ATTACH {}", Value::SingleQuotedString(id.clone()))?;
                name.iter().try_for_each(|name| write!(f, " AS {}", quote_identifier(name)))
            }
        }
    }
}
