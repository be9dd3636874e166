//! Ends resumable statements so that what is finished is committed.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::config::ConfigOptions;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::unlisted_setting;

/// When a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    /// With its last row.
    AtTheEnd,
    /// With the rows that were read.
    Soon,
    /// With the rows that are finished.
    Now,
}

/// The statements that run in this process.
static RUNNING: Mutex<Vec<Arc<watch::Sender<When>>>> = Mutex::new(Vec::new());

/// Tells all resumable statements of this process to end, with the rows that are finished, or with those that were read as
/// well. Returns whether there are any.
pub(crate) fn stop_all(with_rows_in_flight: bool) -> bool {
    let when = if with_rows_in_flight { When::Soon } else { When::Now };
    let running = RUNNING.lock();
    for statement in running.iter() {
        bring_forward(statement, when);
    }
    !running.is_empty()
}

/// Tells a statement to end at `when`; returns whether it was to end later.
fn bring_forward(statement: &watch::Sender<When>, when: When) -> bool {
    statement.send_if_modified(|current| {
        let is_sooner = when > *current;
        *current = when.max(*current);
        is_sooner
    })
}

/// Stops the resumable statement of one query, if it is one: among the settings that the query is planned with.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopSwitch(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    /// While it runs.
    statement: Mutex<Option<Arc<watch::Sender<When>>>>,
    is_used: AtomicBool,
}

unlisted_setting!(StopSwitch, "seequel_stop_switch");

impl StopSwitch {
    /// Tells the statement to end with the rows that are finished. Returns whether there is one that was not told before.
    pub(crate) fn stop(&self) -> bool {
        let statement = self.0.statement.lock();
        let is_told = statement.as_ref().is_some_and(|statement| bring_forward(statement, When::Now));
        self.0.is_used.fetch_or(is_told, Ordering::Relaxed);
        is_told
    }

    /// Whether it has stopped a statement.
    pub(crate) fn is_used(&self) -> bool {
        self.0.is_used.load(Ordering::Relaxed)
    }
}

/// A statement that [`stop_all`] reaches while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Stoppable {
    when: Arc<watch::Sender<When>>,
    is_cut: Arc<AtomicBool>,
}

impl Stoppable {
    pub(crate) fn new() -> Self {
        Self { when: Arc::new(watch::Sender::new(When::AtTheEnd)), is_cut: Arc::default() }
    }

    /// Runs it until the result is dropped; the query's switch, if `config` has one, stops it.
    pub(crate) fn run(&self, config: &ConfigOptions) -> Running {
        self.when.send_replace(When::AtTheEnd);
        self.is_cut.store(false, Ordering::Relaxed);
        RUNNING.lock().push(Arc::clone(&self.when));
        let switch = config.extensions.get::<StopSwitch>().cloned().unwrap_or_default();
        *switch.0.statement.lock() = Some(Arc::clone(&self.when));
        Running { when: Arc::clone(&self.when), switch }
    }

    /// Waits until no more files are to be read, which some then are not.
    pub(crate) async fn soon(self) {
        self.at_least(When::Soon).await;
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Waits until no more rows are to be waited for, which some then are not.
    pub(crate) async fn now(&self) {
        self.at_least(When::Now).await;
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Whether it ended before its last row.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    async fn at_least(&self, when: When) {
        if self.when.subscribe().wait_for(|current| *current >= when).await.is_err() {
            pending().await
        }
    }
}

/// A statement that runs.
#[derive(Debug)]
pub(crate) struct Running {
    when: Arc<watch::Sender<When>>,
    switch: StopSwitch,
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.lock().retain(|running| !Arc::ptr_eq(running, &self.when));
        *self.switch.0.statement.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_request_reaches_the_statements_that_run() {
        let (statement, config) = (Stoppable::new(), ConfigOptions::default());
        let running = statement.run(&config);
        assert!(statement.now().now_or_never().is_none() && !statement.is_cut());
        assert!(stop_all(true));
        assert!(statement.now().now_or_never().is_none() && !statement.is_cut());
        statement.clone().soon().await;
        assert!(statement.is_cut());
        assert!(stop_all(false));
        statement.now().await;
        drop(running);
        let _running = statement.run(&config);
        assert!(statement.now().now_or_never().is_none() && !statement.is_cut());
    }

    #[tokio::test]
    async fn a_switch_stops_the_statement_of_its_query() {
        let (switch, mut config) = (StopSwitch::default(), ConfigOptions::default());
        config.extensions.insert(switch.clone());
        let (own, other) = (Stoppable::new(), Stoppable::new());
        assert!(!switch.stop() && !switch.is_used(), "nothing runs");
        let _other = other.run(&ConfigOptions::default());
        let running = own.run(&config);
        assert!(switch.stop() && switch.is_used());
        own.now().await;
        assert!(other.now().now_or_never().is_none());
        assert!(!switch.stop(), "it is told already");
        drop(running);
        assert!(!switch.stop());
    }
}
