//! Statements about the cluster of a session: its jobs.

mod run;

use std::fmt;

use datafusion::sql::sqlparser::ast::Value;

pub(super) use run::run;

/// A statement about the cluster that `--cluster` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterStatement {
    /// `SHOW JOBS`
    ShowJobs,
    /// `CANCEL JOB 'id'`
    CancelJob {
        /// The job, as `SHOW JOBS` lists it.
        id: String,
    },
}

impl ClusterStatement {
    /// Whether the statement lists something.
    pub(super) fn is_list(&self) -> bool {
        match self {
            Self::ShowJobs => true,
            Self::CancelJob { .. } => false,
        }
    }
}

impl fmt::Display for ClusterStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShowJobs => f.write_str("SHOW JOBS"),
            Self::CancelJob { id } => write!(f, "CANCEL JOB {}", Value::SingleQuotedString(id.clone())),
        }
    }
}
