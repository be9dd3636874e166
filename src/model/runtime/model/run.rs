//! Runs of a model, and what becomes of a session that fails.
//!
//! ```text
//!  run ─ fails on one row ─► run on zeros ─┬─ succeeds: the row is at fault
//!                                          └─ fails: another session in its place ─► run ─ fails on zeros, too ─► counted
//! ```
//!
//! A batch that fails is divided by whoever runs it, so what is decided here is about single rows. Once as many new
//! sessions have failed as the model has, without a run that succeeded, the query ends.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use datafusion::arrow::array::Int8Array;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::DataFusionError;

use super::Model;
use super::placement::Placed;
use crate::clock::{ACCOUNTED, Clock};
use crate::model::runtime::pool::Seat;
use crate::model::runtime::run::{Cancellation, RunError, RunTimes};
use crate::model::runtime::session::{Batch, Session};
use crate::model::tensor::{BatchOutput, Numbers, Tensor};
use crate::{Error, Result};

/// The outputs of a run, or why it failed.
type Outputs = Result<Vec<BatchOutput>, RunError>;

impl Model {
    /// Runs the rows of `batch` on a session of the pool, waiting for a free one or loading one, and returns the
    /// named outputs. `clock` is that of the thread. Blocks: call it only on a thread that may block.
    ///
    /// # Errors
    /// The outer error is from loading or cancellation, or of a model whose every session fails, and fails the query;
    /// the inner one is that of this batch.
    pub(crate) fn run(
        &self,
        batch: &Batch<'_>,
        outputs: &[String],
        times: &RunTimes,
        clock: &Clock,
        cancellation: &Cancellation,
    ) -> Result<Outputs> {
        Ok(self.run_timed(batch, outputs, times, clock, cancellation)?.0)
    }

    /// As [`Self::run`], with how long the session took.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub(crate) fn run_timed(
        &self,
        batch: &Batch<'_>,
        outputs: &[String],
        times: &RunTimes,
        clock: &Clock,
        cancellation: &Cancellation,
    ) -> Result<(Outputs, Duration)> {
        let placed = self.placed()?;
        let mut seat = match placed.pool.free_seat() {
            Some(seat) => seat,
            None => {
                let _waiting = clock.during(&times.queue);
                placed.pool.take_seat(|| cancellation.check())?
            }
        };
        let session = seat.session(|device| {
            let _loading = clock.during(&times.load);
            let name = self.spec.name.as_str();
            tracing::debug_span!("load", model = name).in_scope(|| self.load(placed, device))
        })?;
        // Without accounts the clock is not read.
        let started = (!ACCOUNTED).then(Instant::now);
        let running = clock.during(&times.infer);
        self.inferred_rows.fetch_add(batch.rows as u64, Relaxed);
        let result = session.run(batch, outputs, cancellation);
        let time = running.end();
        let time = started.map_or(time, |started| started.elapsed());
        match result {
            Ok(_) => {
                self.runs.record(time);
                times.runs.record(time);
                placed.failed_sessions.store(0, Relaxed);
                placed.shapes.get_or_init(|| shapes(batch));
            }
            // The error of a terminated run is not an error of its rows.
            Err(_) => cancellation.check()?,
        }
        match result {
            Err(RunError::Rejected(reason)) if batch.rows == 1 => {
                let _running = clock.during(&times.infer);
                Ok((self.run_again(&mut seat, placed, batch, outputs, reason, cancellation)?, time))
            }
            result => Ok((result, time)),
        }
    }

    /// Runs a row that a session has rejected for `reason` on another session, unless the row is at fault.
    fn run_again(
        &self,
        seat: &mut Seat<'_>,
        placed: &Placed,
        row: &Batch<'_>,
        outputs: &[String],
        reason: String,
        cancellation: &Cancellation,
    ) -> Result<Outputs> {
        let rejected = |reason| Ok(Err(RunError::Rejected(reason)));
        let load = |device| self.load(placed, device);
        if self.runs_on_zeros(seat.session(load)?, placed, row, outputs, cancellation)? {
            return rejected(reason);
        }
        let model = self.spec.name.as_str();
        tracing::warn!(model, reason, "a session failed twice in a row; another is loaded in its place");
        let session = seat.replace(load)?;
        let result = session.run(row, outputs, cancellation);
        cancellation.check()?;
        let Err(RunError::Rejected(reason)) = result else {
            placed.failed_sessions.store(0, Relaxed);
            return Ok(result);
        };
        if self.runs_on_zeros(session, placed, row, outputs, cancellation)? {
            placed.failed_sessions.store(0, Relaxed);
            return rejected(reason);
        }
        if placed.failed_sessions.fetch_add(1, Relaxed) + 1 < placed.sizing.sessions {
            return rejected(reason);
        }
        let reason = format!("every session fails, newly loaded ones too, whatever the input is: {reason}");
        Err(Error::Model { model: model.to_owned(), reason })
    }

    /// Whether a session runs on zeros in the place of `batch`: if not, no row of it is at fault.
    ///
    /// # Errors
    /// Those of loading and cancellation.
    pub(crate) fn takes_zeros(
        &self,
        batch: &Batch<'_>,
        outputs: &[String],
        cancellation: &Cancellation,
    ) -> Result<bool> {
        let placed = self.placed()?;
        let mut seat = placed.pool.take_seat(|| cancellation.check())?;
        let session = seat.session(|device| self.load(placed, device))?;
        self.runs_on_zeros(session, placed, batch, outputs, cancellation)
    }

    /// Whether the session runs on a row of zeros, of lengths that a session has taken before. Without such, it can't be told
    /// from a row whose lengths don't fit the model, which is at fault itself.
    fn runs_on_zeros(
        &self,
        session: &mut Session,
        placed: &Placed,
        row: &Batch<'_>,
        outputs: &[String],
        cancellation: &Cancellation,
    ) -> Result<bool> {
        let known = placed.shapes.get();
        let is_open = self.spec.numbers().any(|input| input.row_length().is_none());
        if is_open && known.is_none() {
            return Ok(true);
        }
        let image = self.spec.image().filter(|_| row.images.is_some());
        let tensor = image.map(|image| Tensor::new(&image.input, placed.fixed_batch.unwrap_or(1)));
        let own = shapes(row);
        let types = row.numbers.iter().filter_map(|rows| Some(rows.first()?.values.data_type()));
        let numbers = types.zip(known.unwrap_or(&own)).map(|(kind, shape)| Ok([zeros(kind, shape)?]));
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        let images = tensor.as_ref().map(|tensor| (tensor, 0));
        let numbers = numbers.iter().map(<[Numbers; 1]>::as_slice).collect();
        let batch = Batch { rows: 1, images, numbers, max_output_elements: row.max_output_elements };
        let is_well = session.run(&batch, outputs, cancellation).is_ok();
        cancellation.check()?;
        Ok(is_well)
    }
}

/// For each input that takes numbers, the shape of a row.
fn shapes(batch: &Batch<'_>) -> Vec<Vec<usize>> {
    let shape = |rows: &&[Numbers]| rows.first().map(|row| row.shape.clone()).unwrap_or_default();
    batch.numbers.iter().map(shape).collect()
}

/// A row of zeros.
fn zeros(kind: &DataType, shape: &[usize]) -> Result<Numbers> {
    let zeros = Int8Array::from(vec![0; shape.iter().product()]);
    let values = cast(&zeros, kind).map_err(DataFusionError::from)?;
    Ok(Numbers { values, shape: shape.to_vec() })
}
