//! Handling of failed rows: they are counted, and either fail the query or are reported in the prediction or the log.

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
    /// One prediction per row.
    pub(crate) column: ArrayRef,
    /// Rows that failed, in order, with the reason.
    pub(crate) failures: Vec<(usize, String)>,
}

impl Predictions {
    /// The column of predictions, unless a row failed and `on_error` is `Fail`. Reasons are logged where predictions
    /// have no field for them. `name` gives a row's name.
    ///
    /// # Errors
    /// The first failure, if `on_error` is `Fail`; errors of `name`.
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
