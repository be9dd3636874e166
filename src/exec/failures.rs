//! What becomes of rows that failed: they are counted, and end the query or are told in the answer or the log.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::exec_err;
use datafusion::error::Result;
use seequel_udfs::Request;

use super::metrics::InferMetrics;
use crate::config::OnError;

/// The answers to one call.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) request: Request,
    /// A row each.
    pub(crate) column: ArrayRef,
    /// Rows that failed, in order, with the reason.
    pub(crate) failures: Vec<(usize, String)>,
}

impl Answers {
    /// The answers' column, unless a row failed and the session wants queries to stop at that. Of answers that have no
    /// place for a reason, the log tells it. `name` is what to call a row.
    ///
    /// # Errors
    /// The first failure, if `on_error` says so; those of `name`.
    pub(crate) fn accept(
        self,
        on_error: OnError,
        metrics: &InferMetrics,
        name: impl Fn(usize) -> Result<String>,
    ) -> Result<ArrayRef> {
        metrics.failed_rows.add(self.failures.len());
        match (on_error, self.failures.first()) {
            (OnError::Fail, Some((row, reason))) => {
                return exec_err!("{}: {reason} (inference.on_error is 'fail')", name(*row)?);
            }
            (OnError::Fail, None) | (OnError::Null, _) => {}
        }
        if self.request != Request::Classify {
            for (row, reason) in &self.failures {
                tracing::warn!("{}: {reason}; its answer is NULL", name(*row)?);
            }
        }
        Ok(self.column)
    }
}
