//! A query that runs, as those see it who run it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use itertools::Itertools;
use parking_lot::Mutex;
use tracing::Span;

use super::bottleneck::bottleneck;
use super::plan::nodes;
use super::registry::Registry;
use super::results::ResultSample;
use super::snapshot::{
    ErrorExample, LatestError, QueryDetails, QueryState, QuerySummary, SlowImage, StageProgress,
};
use crate::accounts::{Accounting, Accounts, Stages};
use crate::exec::RowRecord;
use crate::failures::FailedRow;
use crate::progress::{Count, QueryProgress, Stage};
use crate::report::{Samples, rows_of};
use crate::resume::StopSwitch;

/// How a query ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Finished,
    Cancelled,
    Failed(String),
}

/// Lists a query while it runs; dropping it ends the query as cancelled, unless it has ended.
pub(crate) struct RunningQuery {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
}

impl RunningQuery {
    pub(super) fn new(registry: Arc<Registry>, entry: Arc<Entry>) -> Self {
        Self { registry, entry }
    }

    /// The span of the query, at the level of errors, so that each line of the log has its identifier.
    pub(crate) fn span(&self) -> Span {
        tracing::error_span!("query", id = self.entry.id)
    }

    /// Lets the query that `state` plans next keep what is only kept if somebody may look, and be stopped if it can be
    /// continued.
    pub(crate) fn prepare(&self, state: &mut SessionState) {
        let extensions = &mut state.config_mut().options_mut().extensions;
        extensions.insert(self.entry.switch.clone());
        if let Some(record) = &self.entry.record {
            extensions.insert(record.clone());
        }
    }

    /// Shows this plan, which must be the very plan that is executed.
    pub(crate) fn observe(&self, plan: &Arc<dyn ExecutionPlan>) {
        let accounting = Accounting::new(plan);
        accounting.begin();
        self.observe_with(plan, accounting);
    }

    /// Shows this plan and its accounting.
    pub(crate) fn observe_with(&self, plan: &Arc<dyn ExecutionPlan>, accounting: Accounting) {
        let progress = QueryProgress::new(plan);
        if !progress.stages().is_empty() {
            self.entry.reads.store(true, Relaxed);
        }
        let samples = self.entry.record.as_ref().map(|_| Samples::new(&accounting));
        *self.entry.watched.lock() = Some(Watched { plan: Arc::clone(plan), progress, accounting, samples });
    }

    /// Counts rows of the result, and keeps the first.
    pub(crate) fn add_batch(&self, batch: &RecordBatch) {
        let rows = self.entry.rows.fetch_add(batch.num_rows() as u64, Relaxed);
        if rows < ResultSample::MOST {
            self.entry.results.lock().add(batch);
        }
    }

    /// Names the query for those who look.
    pub(crate) fn set_name(&self, name: String) {
        *self.entry.name.lock() = Some(name);
    }

    /// Ends the query; without effect if it has ended.
    pub(crate) fn end(&self, outcome: &Outcome) {
        self.registry.end(&self.entry, outcome);
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.end(&Outcome::Cancelled);
    }
}

impl std::fmt::Debug for RunningQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningQuery").field("id", &self.entry.id).finish_non_exhaustive()
    }
}

/// A query that runs.
pub(super) struct Entry {
    pub(super) id: String,
    name: Mutex<Option<String>>,
    text: String,
    started: SystemTime,
    began: Instant,
    /// Rows of the result.
    rows: AtomicU64,
    pub(super) has_ended: AtomicBool,
    /// Whether a plan of it reads anything. `SET` and the like do not, and are not listed.
    reads: AtomicBool,
    results: Mutex<ResultSample>,
    pub(super) record: Option<RowRecord>,
    watched: Mutex<Option<Watched>>,
    switch: StopSwitch,
    cancel: Box<dyn Fn() + Send + Sync>,
}

/// The plan that runs.
struct Watched {
    plan: Arc<dyn ExecutionPlan>,
    progress: QueryProgress,
    accounting: Accounting,
    samples: Option<Samples>,
}

impl Entry {
    pub(super) fn new(
        id: String,
        text: String,
        record: Option<RowRecord>,
        cancel: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            id,
            name: Mutex::default(),
            text,
            started: SystemTime::now(),
            began: Instant::now(),
            rows: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            reads: AtomicBool::new(false),
            results: Mutex::default(),
            record,
            watched: Mutex::default(),
            switch: StopSwitch::default(),
            cancel,
        }
    }

    /// Ends the query: one that can be continued commits what is finished, unless it is doing so already.
    pub(super) fn cancel(&self) {
        if !self.switch.stop() {
            (self.cancel)();
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        self.reads.load(Relaxed)
    }

    /// Takes a sample, if it is time for one.
    pub(super) fn sample(&self) {
        if let Some(Watched { accounting, samples, .. }) = self.watched.lock().as_mut() {
            samples.get_or_insert_with(|| Samples::new(accounting)).take(accounting);
        }
    }

    pub(super) fn summary(&self) -> QuerySummary {
        let watched = self.watched.lock();
        let accounts = watched.as_ref().map(|watched| watched.accounting.accounts()).unwrap_or_default();
        self.summary_of(watched.as_ref(), &accounts)
    }

    fn summary_of(&self, watched: Option<&Watched>, accounts: &Accounts) -> QuerySummary {
        let stages = watched.map(|watched| watched.progress.stages()).unwrap_or_default();
        let inference = watched.and_then(|watched| watched.progress.inference());
        let images = inference.map_or_else(|| rows_of(accounts), |all| all.images.max(all.rows));
        let seconds = self.began.elapsed().as_secs_f64();
        let share = stages.values().rev().find_map(share);
        let written = stages.get(&Stage::Written).map(|written| written.done);
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let stage =
            |(stage, Count { done, total })| StageProgress { stage: Stage::to_string(&stage), done, total };
        QuerySummary {
            id: self.id.clone(),
            name: self.name.lock().clone(),
            text: self.text.clone(),
            state: QueryState::Running,
            error: None,
            started_ms: u64::try_from(started.as_millis()).unwrap_or_default(),
            seconds,
            rows: written.unwrap_or_else(|| self.rows.load(Relaxed)),
            images,
            has_images: inference.is_some_and(|all| all.images > 0),
            images_per_second: images as f64 / seconds.max(1e-9),
            share,
            seconds_left: share.filter(|share| *share > 0.0).map(|share| seconds * (1.0 - share) / share),
            failed_rows: accounts.query.failed_rows,
            stages: stages.into_iter().map(stage).collect(),
        }
    }

    pub(super) fn details(&self) -> QueryDetails {
        let watched = self.watched.lock();
        let accounts = watched.as_ref().map(|watched| watched.accounting.accounts()).unwrap_or_default();
        let bottleneck = bottleneck(&accounts);
        let rows = self.record.as_ref().map(RowRecord::rows).unwrap_or_default();
        let error = |(kind, error): (String, crate::exec::ErrorKind)| ErrorExample {
            kind,
            count: error.count,
            name: error.name,
            error: error.error,
        };
        let latest = |(number, FailedRow { path, stage, error, model })| LatestError {
            number,
            name: path,
            stage: stage.to_string(),
            error,
            model,
        };
        let slow =
            |image: crate::exec::SlowImage| SlowImage { name: image.name, seconds: image.time.as_secs_f64() };
        QueryDetails {
            summary: self.summary_of(watched.as_ref(), &accounts),
            bottleneck,
            plan: watched.as_ref().map(|watched| nodes(&watched.plan, bottleneck)).unwrap_or_default(),
            sampled_stages: Stages::default().named().map(|(name, _)| name).to_vec(),
            samples: watched
                .as_ref()
                .and_then(|watched| watched.samples.as_ref())
                .map(|samples| samples.all.clone())
                .unwrap_or_default(),
            errors: rows
                .errors
                .into_iter()
                .map(error)
                .sorted_by_key(|error| std::cmp::Reverse(error.count))
                .collect(),
            latest_errors: rows.last.into_iter().map(latest).collect(),
            slowest_images: rows.slowest.into_iter().map(slow).collect(),
            results: self.results.lock().clone(),
            sampled_rows: self.record.as_ref().map(RowRecord::sampled_rows).unwrap_or_default(),
            accounts,
        }
    }

    /// What remains of the query.
    pub(super) fn ended(&self, outcome: &Outcome) -> QueryDetails {
        if let Some(Watched { accounting, samples, .. }) = self.watched.lock().as_mut() {
            accounting.end();
            if let Some(samples) = samples {
                samples.add(&accounting.accounts());
            }
        }
        let mut details = self.details();
        let (state, error) = match outcome {
            Outcome::Finished => (QueryState::Finished, None),
            Outcome::Cancelled => (QueryState::Cancelled, None),
            // The error says what is committed.
            Outcome::Failed(error) if self.switch.is_used() => (QueryState::Cancelled, Some(error.clone())),
            Outcome::Failed(error) => (QueryState::Failed, Some(error.clone())),
        };
        (details.summary.state, details.summary.error) = (state, error);
        details.summary.seconds_left = None;
        details
    }

    /// Lets go of the plan, with all that its operators hold.
    pub(super) fn release(&self) {
        *self.watched.lock() = None;
    }
}

fn share(count: &Count) -> Option<f64> {
    let total = count.total.filter(|total| *total > 0)?;
    Some((count.done as f64 / total as f64).min(1.0))
}
