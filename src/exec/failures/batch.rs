//! Handling of failed rows: they are counted, and fail the query, are left out, or are reported in the prediction or the
//! log.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use seequel_udfs::Request;

use crate::config::{InferenceOptions, OnError};
use crate::exec::metrics::InferMetrics;
use crate::failures::{FailedRow, Failure, QueryFailures, Stage};

/// Rows whose image can't be read or decoded, with the reason.
pub(crate) type ImageFailures = BTreeMap<usize, Failure>;

/// The predictions of one call.
#[derive(Debug)]
pub(crate) struct Predictions {
    pub(crate) request: Request,
    /// Name of the model or ensemble.
    pub(crate) model: String,
    /// One prediction per row.
    pub(crate) column: ArrayRef,
    /// Rows that failed, in order, with the reason.
    pub(crate) failures: Vec<(usize, Failure)>,
}

/// The failures of a batch of rows, of all its calls.
#[derive(Debug, Default)]
pub(crate) struct BatchFailures {
    /// By row, stage and model: a row that can't be decoded fails once for all models.
    failures: BTreeMap<(usize, Stage, Option<String>), String>,
    /// Rows whose image an operator below could not decode either, and has reported.
    known: BTreeSet<usize>,
}

impl BatchFailures {
    /// The column of predictions. Reasons are logged where predictions have no field for them, unless `on_error` is
    /// `Fail`, where [`Self::report`] gives the first. `name` gives a row's name.
    ///
    /// # Errors
    /// Those of `name`.
    pub(crate) fn accept(
        &mut self,
        predictions: Predictions,
        on_error: OnError,
        metrics: &InferMetrics,
        name: impl Fn(usize) -> Result<Option<String>>,
    ) -> Result<ArrayRef> {
        let Predictions { request, model, column, failures } = predictions;
        metrics.failed_rows.add(failures.len());
        let becomes = if on_error == OnError::Skip { "it is left out" } else { "its prediction is NULL" };
        for (row, Failure { stage, reason }) in failures {
            let has_room = matches!(request, Request::Classify | Request::ImageError);
            if on_error == OnError::Skip || (on_error == OnError::Null && !has_room) {
                tracing::warn!("{}: {reason}; {becomes}", or_a_row(name(row)?));
            }
            let of_model = (stage > Stage::Decode).then(|| model.clone());
            self.failures.entry((row, stage, of_model)).or_insert(reason);
        }
        Ok(column)
    }

    /// Notes a row that is not touched.
    pub(crate) fn add_crash(&mut self, row: usize, reason: &str) {
        self.failures.insert((row, Stage::Crash, None), reason.to_owned());
    }

    /// Notes rows whose image an operator below could not decode.
    pub(crate) fn add_known(&mut self, rows: impl IntoIterator<Item = usize>) {
        self.known.extend(rows);
    }

    /// Reports the failures that are new, and the number of `rows` that were inferred; `name` gives a row's name.
    ///
    /// # Errors
    /// The first failure, if `options` let it fail the query; more failures than they allow; errors of `name`.
    pub(crate) fn report(
        &self,
        rows: usize,
        to: &QueryFailures,
        options: &InferenceOptions,
        name: impl Fn(usize) -> Result<Option<String>>,
    ) -> Result<()> {
        to.add_rows(rows);
        let is_new = |row, stage| match stage {
            Stage::Read => false,
            Stage::Crash | Stage::Decode => !self.known.contains(&row),
            _ => true,
        };
        let new = self.failures.iter().filter(|((row, stage, _), _)| is_new(*row, *stage));
        let mut failed = vec![];
        let (mut count, mut last) = (0, None);
        for ((row, stage, model), error) in new {
            count += usize::from(last.replace(*row) != Some(*row));
            let (path, model) = (name(*row)?, model.clone());
            failed.push(FailedRow { path, stage: *stage, error: error.clone(), model });
        }
        to.add_failed(count, failed);
        if let (OnError::Fail, Some(((row, ..), reason))) =
            (options.on_error, self.failures.first_key_value())
        {
            let row = or_a_row(name(*row)?);
            return Err(to.end(exec_datafusion_err!("{row}: {reason} (inference.on_error is 'fail')")));
        }
        to.check(options)
    }

    /// Which of `rows` rows have not failed; `None` if all of them.
    pub(crate) fn unfailed(&self, rows: usize) -> Option<BooleanArray> {
        let mut unfailed = vec![true; rows];
        self.failures.keys().for_each(|(row, ..)| unfailed[*row] = false);
        (!self.failures.is_empty()).then(|| unfailed.into())
    }
}

/// What messages call a row.
pub(crate) fn or_a_row(name: Option<String>) -> String {
    name.unwrap_or_else(|| "a row".to_owned())
}
