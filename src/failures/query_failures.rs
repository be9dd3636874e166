//! The failed rows of one query: their number, its limits, and where they are listed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};

use datafusion::common::exec_datafusion_err;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use parking_lot::Mutex;

use super::failure::FailedRow;
use super::listener::{Listener, SkippedRow};
use crate::config::{InferenceOptions, unlisted_setting};

/// Failed rows that wait to be listed.
const WAITING: usize = 256;

/// Rows before which no share of them is too large.
const LEAST_ROWS: u64 = 100;

/// How many rows a part of a query has inferred, how many have failed, and one of these.
#[cfg(feature = "cluster")]
#[derive(Debug, Clone, Default)]
pub(crate) struct FailedCount {
    pub(crate) rows: u64,
    pub(crate) failed: u64,
    pub(crate) example: Option<String>,
}

/// How many failed rows of a query were known at a moment.
#[cfg(feature = "cluster")]
#[derive(Debug)]
pub(crate) struct Mark {
    failed: u64,
    early: usize,
}

/// The failed rows of one query. Clones are of the same query.
#[derive(Clone, Default)]
pub(crate) struct QueryFailures(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// Rows that were inferred, whether or not they failed.
    rows: AtomicU64,
    failed: AtomicU64,
    last: Mutex<Option<FailedRow>>,
    listener: Mutex<Option<Arc<dyn Listener>>>,
    /// Rows that failed before anybody listened, if they are kept.
    #[cfg(feature = "cluster")]
    early: Mutex<Option<Vec<FailedRow>>>,
    /// Is told as well, to the end.
    observer: Option<Arc<dyn Listener>>,
    /// Whether failed rows have ended the query.
    has_ended: AtomicBool,
    /// Whether somebody tells how many there are.
    #[cfg(feature = "cluster")]
    is_told: AtomicBool,
}

impl QueryFailures {
    /// Those of the query with these settings, or of a part of a query that has none.
    pub(crate) fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Those of a query that `observer` is told of all failed rows of, whoever else is.
    pub(crate) fn observed_by(observer: Arc<dyn Listener>) -> Self {
        Self(Arc::new(Counts { observer: Some(observer), ..Counts::default() }))
    }

    /// Counts `rows` rows that were inferred.
    pub(crate) fn add_rows(&self, rows: usize) {
        self.0.rows.fetch_add(rows as u64, Relaxed);
    }

    /// Counts `rows` failed rows, and lists what failed in them. Blocks while the list has no room.
    pub(crate) fn add_failed(&self, rows: usize, failed: Vec<FailedRow>) {
        let Some(last) = failed.last() else { return };
        self.0.failed.fetch_add(rows as u64, Relaxed);
        *self.0.last.lock() = Some(last.clone());
        self.pass_on(failed);
    }

    /// Tells all who are told of failed rows, without counting them. Blocks while the list has no room.
    pub(crate) fn pass_on(&self, failed: Vec<FailedRow>) {
        if let Some(observer) = &self.0.observer {
            failed.iter().for_each(|row| observer.failed(row.clone()));
        }
        self.list(failed);
    }

    /// Lists rows without counting them: whether they have failed was decided elsewhere. Blocks while the list has no room.
    pub(crate) fn list(&self, rows: Vec<FailedRow>) {
        // Cloned, so that a full list stops nobody who has nothing to list.
        let listener = self.0.listener.lock().clone();
        match listener {
            Some(listener) => rows.into_iter().for_each(|row| listener.failed(row)),
            #[cfg(feature = "cluster")]
            None => self.0.early.lock().iter_mut().for_each(|early| early.extend(rows.iter().cloned())),
            #[cfg(not(feature = "cluster"))]
            None => {}
        }
    }

    /// Passes on which rows that failed are left out of the result.
    pub(crate) fn add_skipped(&self, rows: impl IntoIterator<Item = SkippedRow>) {
        let listener = self.0.listener.lock().clone();
        if let Some(listener) = listener {
            rows.into_iter().for_each(|row| listener.skipped(row));
        }
    }

    /// Counts and lists one failed row, and checks the limits.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub(crate) fn add_one(&self, failed: FailedRow, options: &InferenceOptions) -> Result<()> {
        self.add_failed(1, vec![failed]);
        self.check(options)
    }

    /// Passes on each failed row from now on, in bounded memory, until [`Self::end_listing`].
    pub(crate) fn listen(&self) -> Receiver<FailedRow> {
        let (sender, receiver) = sync_channel(WAITING);
        self.tell(Arc::new(sender));
        receiver
    }

    /// Tells `listener` of each failed row from now on, until [`Self::end_listing`].
    pub(crate) fn tell(&self, listener: Arc<dyn Listener>) {
        *self.0.listener.lock() = Some(listener);
    }

    /// Lists no more rows: a receiver ends.
    pub(crate) fn end_listing(&self) {
        #[cfg(feature = "cluster")]
        self.take_early();
        *self.0.listener.lock() = None;
    }

    /// Checks the limits on failed rows.
    ///
    /// # Errors
    /// More failures than `options` allow.
    pub(crate) fn check(&self, options: &InferenceOptions) -> Result<()> {
        let last = || self.0.last.lock().as_ref().map(ToString::to_string);
        self.check_counts(self.0.rows.load(Relaxed), self.0.failed.load(Relaxed), last, options)
    }

    /// Checks the limits on the failed rows of this part of a query and of others.
    ///
    /// # Errors
    /// More failures than `options` allow.
    #[cfg(feature = "cluster")]
    pub(crate) fn check_with(&self, others: FailedCount, options: &InferenceOptions) -> Result<()> {
        let FailedCount { rows, failed, example } = self.count();
        let last = || others.example.or(example);
        self.check_counts(rows + others.rows, failed + others.failed, last, options)
    }

    fn check_counts(
        &self,
        rows: u64,
        failed: u64,
        last: impl FnOnce() -> Option<String>,
        options: &InferenceOptions,
    ) -> Result<()> {
        if let Some(most) = options.max_errors.filter(|most| failed > *most) {
            return Err(self.end(exec_datafusion_err!(
                "{failed} failed row(s) are more than inference.max_errors ({most}); the last is {}. SET inference.max_errors = {} allows more, and 'none' any number",
                last().unwrap_or_default(),
                most.max(1) * 10
            )));
        }
        let share = failed as f64 / rows.max(1) as f64;
        if let Some(most) = options.max_error_ratio.filter(|most| rows >= LEAST_ROWS && share > *most) {
            return Err(self.end(exec_datafusion_err!(
                "{failed} of {rows} rows have failed, a larger share than inference.max_error_ratio ({most}); the last is {}. SET inference.max_error_ratio = 'none' goes on with any share",
                last().unwrap_or_default()
            )));
        }
        Ok(())
    }

    /// Whether each failed row is listed.
    #[cfg(feature = "cluster")]
    pub(crate) fn are_listed(&self) -> bool {
        self.0.listener.lock().is_some()
    }

    /// How many there are so far.
    #[cfg(feature = "cluster")]
    pub(crate) fn count(&self) -> FailedCount {
        FailedCount {
            rows: self.0.rows.load(Relaxed),
            failed: self.0.failed.load(Relaxed),
            example: self.0.last.lock().as_ref().map(ToString::to_string),
        }
    }

    /// Keeps the rows that fail while nobody listens, such as while a query is planned, for [`Self::take_early`]. Returns how
    /// many there were before.
    #[cfg(feature = "cluster")]
    pub(crate) fn keep_early(&self) -> Mark {
        let early = self.0.early.lock().get_or_insert_default().len();
        Mark { failed: self.0.failed.load(Relaxed), early }
    }

    /// Forgets those since `mark`: they are found again elsewhere.
    #[cfg(feature = "cluster")]
    pub(crate) fn forget_since(&self, mark: &Mark) {
        self.0.failed.store(mark.failed, Relaxed);
        self.0.early.lock().get_or_insert_default().truncate(mark.early);
    }

    /// The rows that failed before anybody listened, which are kept no more.
    #[cfg(feature = "cluster")]
    pub(crate) fn take_early(&self) -> Vec<FailedRow> {
        self.0.early.lock().take().unwrap_or_default()
    }

    /// Whether the caller is the first that asks, and so the one that tells how many there are.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_first_to_tell(&self) -> bool {
        !self.0.is_told.swap(true, Relaxed)
    }

    /// Notes that failed rows end the query, with `error`.
    pub(crate) fn end(&self, error: DataFusionError) -> DataFusionError {
        self.0.has_ended.store(true, Relaxed);
        error
    }

    /// Whether failed rows have ended the query.
    pub(crate) fn have_ended_it(&self) -> bool {
        self.0.has_ended.load(Relaxed)
    }
}

impl fmt::Debug for QueryFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryFailures").field("failed", &self.0.failed.load(Relaxed)).finish_non_exhaustive()
    }
}

unlisted_setting!(QueryFailures, "inference_failures");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::Stage;

    fn failed(count: usize) -> Vec<FailedRow> {
        let row = |number| FailedRow {
            path: Some(format!("{number}.jpg")),
            stage: Stage::Decode,
            error: "not an image".to_owned(),
            model: None,
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_share_counts_from_a_hundred_rows_on() {
        let options = InferenceOptions { max_error_ratio: Some(0.25), ..InferenceOptions::default() };
        let failures = QueryFailures::default();
        failures.add_rows(90);
        failures.add_failed(50, failed(50));
        assert!(failures.check(&options).is_ok());
        failures.add_rows(10);
        let error = failures.check(&options).unwrap_err().to_string();
        assert!(error.contains("50 of 100 rows") && error.contains("49.jpg: not an image"), "{error}");
        failures.add_rows(100);
        assert!(failures.check(&options).is_ok());
    }

    #[test]
    fn each_failed_row_is_listed_until_the_end() {
        let failures = QueryFailures::default();
        let listed = failures.listen();
        failures.clone().add_failed(2, failed(2));
        failures.end_listing();
        failures.add_failed(1, failed(1));
        assert_eq!(listed.iter().collect::<Vec<_>>(), failed(2));
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn rows_that_fail_before_anybody_listens_are_kept_once() {
        let failures = QueryFailures::default();
        failures.add_failed(1, failed(1));
        assert_eq!(failures.take_early(), [], "nobody has asked for them");
        failures.keep_early();
        failures.add_failed(1, failed(1));
        let mark = failures.keep_early();
        failures.add_failed(3, failed(3));
        failures.forget_since(&mark);
        let listed = failures.listen();
        failures.add_failed(2, failed(2));
        assert_eq!((failures.take_early(), failures.take_early()), (failed(1), vec![]));
        failures.end_listing();
        assert_eq!(listed.iter().collect::<Vec<_>>(), failed(2));
        assert_eq!(failures.count().failed, 4);
    }
}
