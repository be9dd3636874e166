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
    /// The connection ended before the scheduler answered.
    #[error(
        "lost the scheduler at {address} before it answered ({reason}): it has ended, or its machine can't be reached; start it \
         again, and run the statement again"
    )]
    Unanswered {
        /// Its address.
        address: String,
        /// What ended the connection.
        reason: String,
    },
    /// The scheduler takes requests, and does not answer.
    #[error(
        "the scheduler at {address} has not answered for {seconds} seconds: look whether its machine can be reached and its \
         process goes on, and start it again if not; then run the statement again, of which COPY with the option 'resume' \
         does what is left. If it goes on, so may this query: SHOW JOBS lists it"
    )]
    Silent {
        /// Its address.
        address: String,
        /// How long it was silent.
        seconds: u64,
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
    #[error(
        "lost the scheduler at {address} while the query ran ({reason}); one that is started again knows no query of before: \
         run the statement again, of which COPY with the option 'resume' does what is left"
    )]
    Lost {
        /// Its address.
        address: String,
        /// What ended the connection.
        reason: String,
    },
    /// The scheduler does not know a job.
    #[error(
        "the scheduler at {address} knows no job '{id}'; SHOW JOBS lists those that it knows. It forgets a job an hour after \
         its client had its results, a day after its end if it had not, and all jobs when it ends: it may have been started \
         again"
    )]
    UnknownJob {
        /// Its address.
        address: String,
        /// The job.
        id: String,
    },
    /// A job has ended, and can't be cancelled.
    #[error("job '{id}' has ended: it is {state}")]
    Ended {
        /// The job.
        id: String,
        /// How it ended.
        state: String,
    },
    /// Whoever watched a query has ended it.
    #[error("the query was stopped while it ran")]
    Stopped,
    /// A job was cancelled, and not by whoever waits for it.
    #[error("the query was cancelled on the cluster, where it was job '{id}'")]
    Cancelled {
        /// The job.
        id: String,
    },
    /// A job goes on.
    #[error("job '{id}' was asked to end and goes on; SHOW JOBS tells when it has ended")]
    NotCancelled {
        /// The job.
        id: String,
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
    /// An executor that holds results takes requests, and does not answer.
    #[error(
        "the executor at {executor}, which has the rows, has not answered for {seconds} seconds: look whether its machine can \
         be reached and its process goes on; then run the statement again"
    )]
    SilentExecutor {
        /// Its address.
        executor: String,
        /// How long it was silent.
        seconds: u64,
    },
    /// The results of a job are not there any more.
    #[error("the results of job '{id}' are gone ({reason}); run its query again")]
    Gone {
        /// The job.
        id: String,
        /// What the executor that had them answered.
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

/// The last of an error's causes: those before say that something failed.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The message in the debug output of the error that a task failed with, or all of it: `… Execution("no file")`.
pub(crate) fn message_of(failure: &str) -> String {
    // Quotes in a message are escaped.
    let message = failure.rsplit_once("(\"").map(|(_, message)| message);
    let unescaped = message.and_then(|message| {
        let mut text = String::new();
        let mut characters = message.chars();
        loop {
            match characters.next()? {
                '"' => return Some(text),
                '\\' => match characters.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    escaped @ ('"' | '\'' | '\\') => text.push(escaped),
                    other => text.extend(['\\', other]),
                },
                character => text.push(character),
            }
        }
    });
    unescaped.unwrap_or_else(|| failure.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_task_is_found_in_its_debug_output() {
        let message = "a(\"b\").jpg: \\ no\nimage";
        let failure = format!("Job failed: DataFusionError(Shared(External(Execution({message:?}))))");
        assert_eq!(message_of(&failure), message);
        assert_eq!(message_of("no executor for 60 s"), "no executor for 60 s");
        assert_eq!(message_of("cut off: Execution(\"no"), "cut off: Execution(\"no");
    }
}
