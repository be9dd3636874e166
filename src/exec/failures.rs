//! What becomes of rows that failed: they are counted, and end the query or are named in the prediction or the log.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::exec_err;
use datafusion::error::Result;
use seequel_udfs::Request;

use super::metrics::InferMetrics;
use crate::config::OnError;

/// The predictions of one call.
#[derive(Debug)]
pub(crate) struct Predictions {
    pub(crate) request: Request,
    /// A row each.
    pub(crate) column: ArrayRef,
    /// Rows that failed, in order, with the reason.
    pub(crate) failures: Vec<(usize, String)>,
}

impl Predictions {
    /// The predictions' column, unless a row failed and the session wants queries to stop at that. Where predictions have no
    /// place for a reason, it is logged. `name` is what to call a row.
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
                tracing::warn!("{}: {reason}; its prediction is NULL", name(*row)?);
            }
        }
        Ok(self.column)
    }
}
