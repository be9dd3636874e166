//! The list of an engine's queries.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "dashboard")]
use bytes::Bytes;
use datafusion::config::ConfigOptions;
use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;

use super::running::{Entry, Outcome, RunningQuery};
use super::snapshot::{QueryDetails, QueryState, QuerySummary};
use crate::config::unlisted_setting;
use crate::exec::RowRecord;

/// Queries that are kept after their end.
const MOST_ENDED: usize = 100;

/// Queries whose thumbnails are kept after their end: less than a megabyte each.
const MOST_ILLUSTRATED: usize = 20;

/// Characters of a statement that are kept.
const MOST_CHARACTERS: usize = 10_000;

/// The queries of an engine: those that run, and the last 100 that ended. Cloning is cheap; clones are of the same engine.
///
/// [`Engine::queries`](crate::Engine::queries) gives it. The shell's statements are listed, and those of applications that
/// run as a [`Query`](crate::Query); a `DataFrame` that is collected by itself is not. Statements that read nothing, such
/// as `SET`, are left out. What it says of a query is read from the query's operators when asked, so that nothing is
/// counted for it alone.
///
/// ```no_run
/// # fn example(engine: &seequel::Engine) {
/// for query in engine.queries().all() {
///     let percent = query.share.unwrap_or_default() * 100.0;
///     println!("{:?} {percent:.0} % {:.1}/s {}", query.state, query.images_per_second, query.text);
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Queries(Arc<Registry>);

/// The state that all clones share.
pub(super) struct Registry {
    /// When it was made, which sets its identifiers apart from those of other processes.
    made: u64,
    begun: AtomicU64,
    /// Whether queries keep what is only kept if somebody may look.
    keeps_records: AtomicBool,
    running: Mutex<Vec<Arc<Entry>>>,
    /// Oldest first.
    ended: Mutex<VecDeque<Arc<QueryDetails>>>,
    /// The thumbnails of the last queries that ended, by identifier, oldest first.
    illustrated: Mutex<VecDeque<(String, RowRecord)>>,
    /// What those did that have ended.
    totals: Mutex<Totals>,
}

/// What the queries of an engine did so far, in numbers that never fall, but those of the queries that run now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) running: u64,
    /// Morsels that wait for a worker now.
    pub(crate) queued_morsels: u64,
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) images: u64,
    pub(crate) failed_rows: u64,
    pub(crate) read_bytes: u64,
}

impl Totals {
    fn add(&mut self, query: &QueryDetails) {
        match query.summary.state {
            QueryState::Running => {
                self.running += 1;
                self.queued_morsels += query.plan.iter().filter_map(|node| node.queued).sum::<u64>();
            }
            QueryState::Finished => self.finished += 1,
            QueryState::Failed => self.failed += 1,
            QueryState::Cancelled => self.cancelled += 1,
        }
        self.images += query.summary.images;
        self.failed_rows += query.summary.failed_rows;
        self.read_bytes += query.accounts.stages.read.bytes;
    }
}

impl Queries {
    /// All queries, last begun first; those that run precede those that have ended.
    #[must_use]
    pub fn all(&self) -> Vec<QuerySummary> {
        let mut all = self.running();
        // One that has ended meanwhile is among both.
        let ended =
            self.ended().into_iter().filter(|ended| all.iter().all(|query| query.id != ended.summary.id));
        let ended: Vec<_> = ended.map(|ended| ended.summary.clone()).collect();
        all.extend(ended);
        all
    }

    /// The queries that run, last begun first.
    #[must_use]
    pub fn running(&self) -> Vec<QuerySummary> {
        let running = self.0.running.lock().clone();
        running.iter().rev().filter(|entry| entry.is_listed()).map(|entry| entry.summary()).collect()
    }

    /// The queries that have ended, last ended first, at most 100.
    #[must_use]
    pub fn ended(&self) -> Vec<Arc<QueryDetails>> {
        self.0.ended.lock().iter().rev().map(Arc::clone).collect()
    }

    /// All that is known of a query; `None` if there is none with this identifier, or not any more.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<QueryDetails>> {
        if let Some(entry) = self.0.find(id) {
            return Some(Arc::new(entry.details()));
        }
        self.0.ended.lock().iter().find(|ended| ended.summary.id == id).cloned()
    }

    /// Cancels a query that runs: as [`QueryHandle::cancel`](crate::QueryHandle::cancel) does for an application's, and
    /// as Ctrl-C does in the shell. A `COPY` with the option `resume` commits what is finished before it ends; a second
    /// call ends it at once. Returns at once, and whether there is such a query.
    #[must_use]
    pub fn cancel(&self, id: &str) -> bool {
        self.0.find(id).inspect(|entry| entry.cancel()).is_some()
    }

    /// The thumbnail of the image that the query calls `name`, if it is kept.
    #[cfg(feature = "dashboard")]
    pub(crate) fn thumbnail(&self, id: &str, name: &str) -> Option<Bytes> {
        if let Some(entry) = self.0.find(id) {
            return entry.record.as_ref()?.thumbnail(name);
        }
        let illustrated = self.0.illustrated.lock();
        illustrated.iter().find(|(other, _)| other == id)?.1.thumbnail(name)
    }

    /// Those of the session with these settings.
    pub(crate) fn of(config: &ConfigOptions) -> Option<Self> {
        config.extensions.get::<Self>().cloned()
    }

    /// Lists a query that begins now; `cancel` ends it from any thread.
    pub(crate) fn begin(&self, text: &str, cancel: impl Fn() + Send + Sync + 'static) -> RunningQuery {
        let registry = &self.0;
        let number = registry.begun.fetch_add(1, Relaxed) + 1;
        let id = format!("{:x}-{number}", registry.made);
        let record = registry.keeps_records.load(Relaxed).then(RowRecord::with_sample);
        let text = text.chars().take(MOST_CHARACTERS).collect();
        let entry = Arc::new(Entry::new(id, text, record, Box::new(cancel)));
        registry.running.lock().push(Arc::clone(&entry));
        RunningQuery::new(Arc::clone(registry), entry)
    }

    /// Lets queries keep their errors by kind and their slowest images from now on.
    #[cfg(feature = "dashboard")]
    pub(crate) fn keep_records(&self) {
        self.0.keeps_records.store(true, Relaxed);
    }

    /// What all queries did so far.
    #[cfg(feature = "dashboard")]
    pub(crate) fn totals(&self) -> Totals {
        // Locked first, so that no query ends between the two and counts twice, or not at all.
        let ended = self.0.totals.lock();
        let running = self.0.running.lock().clone();
        let mut totals = *ended;
        running.iter().filter(|entry| entry.is_listed()).for_each(|entry| totals.add(&entry.details()));
        totals
    }

    /// Takes a sample of each query that runs, if it is time for one.
    #[cfg(feature = "dashboard")]
    pub(crate) fn sample(&self) {
        let running = self.0.running.lock().clone();
        running.iter().filter(|entry| entry.is_listed()).for_each(|entry| entry.sample());
    }
}

impl Registry {
    fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.running.lock().iter().find(|entry| entry.id == id && entry.is_listed()).cloned()
    }

    /// Moves a query to those that have ended; without effect if it is among them.
    pub(super) fn end(&self, entry: &Arc<Entry>, outcome: &Outcome) {
        if entry.has_ended.swap(true, Relaxed) {
            return;
        }
        let details = Arc::new(entry.ended(outcome));
        let mut totals = self.totals.lock();
        self.running.lock().retain(|other| !Arc::ptr_eq(other, entry));
        if entry.is_listed() {
            totals.add(&details);
            if let Some(record) = &entry.record {
                let mut illustrated = self.illustrated.lock();
                illustrated.push_back((entry.id.clone(), record.clone()));
                if illustrated.len() > MOST_ILLUSTRATED {
                    illustrated.pop_front();
                }
            }
            let mut ended = self.ended.lock();
            ended.push_back(details);
            if ended.len() > MOST_ENDED {
                ended.pop_front();
            }
        }
        entry.release();
    }
}

impl Default for Queries {
    fn default() -> Self {
        let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Arc::new(Registry {
            made: u64::try_from(made.as_millis()).unwrap_or_default(),
            begun: AtomicU64::new(0),
            keeps_records: AtomicBool::new(false),
            running: Mutex::default(),
            ended: Mutex::default(),
            illustrated: Mutex::default(),
            totals: Mutex::default(),
        }))
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").field("running", &self.0.running.lock().len()).finish_non_exhaustive()
    }
}

unlisted_setting!(Queries, "seequel_queries");

/// The text of a statement, with its plan.
#[derive(Debug, Clone)]
pub(crate) struct QueryText(pub(crate) String);

impl QueryText {
    /// Lets the query of `state` know its text.
    pub(crate) fn insert(state: &mut SessionState, text: &str) {
        let text = text.trim().chars().take(MOST_CHARACTERS).collect();
        state.config_mut().options_mut().extensions.insert(Self(text));
    }

    /// The text of the query with these settings.
    pub(crate) fn of(config: &ConfigOptions) -> Option<String> {
        config.extensions.get::<Self>().map(|text| text.0.clone())
    }
}

unlisted_setting!(QueryText, "seequel_query_text");
