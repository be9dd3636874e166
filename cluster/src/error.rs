//! Errors of a cluster.

use datafusion::error::DataFusionError;

/// Why a process of a cluster could not start, or a plan could not run on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No scheduler answers.
    #[error(
        "no scheduler answers at {address} ({reason}); start one with `seequel scheduler`, or check the address"
    )]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What connecting to it gave.
        reason: String,
    },
    /// The scheduler did not take the plan.
    #[error("the scheduler at {address} refused the query: {reason}")]
    Refused {
        /// Its address.
        address: String,
        /// Its reason.
        reason: String,
    },
    /// The scheduler did not take the executor.
    #[error("the scheduler at {address} refused this executor: {reason}")]
    RefusedExecutor {
        /// Its address.
        address: String,
        /// Its reason.
        reason: String,
    },
    /// The scheduler stopped answering while the query ran.
    #[error("lost the scheduler at {address} while the query ran: {reason}")]
    Lost {
        /// Its address.
        address: String,
        /// What ended the connection.
        reason: String,
    },
    /// A task failed.
    #[error("{0}")]
    Failed(String),
    /// An executor that holds results does not give them.
    #[error(
        "the results on the executor at {executor} can't be fetched ({reason}); run the statement again: its other \
         results were not kept"
    )]
    Fetch {
        /// Its address.
        executor: String,
        /// What it answered.
        reason: String,
    },
    /// A process could not start or go on.
    #[error("{0}")]
    Process(String),
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
