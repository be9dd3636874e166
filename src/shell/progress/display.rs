//! How far the running query is, on standard error: a line for each stage, redrawn where it stands.
//!
//! ```text
//!  query threads: plan ── watch ──► Progress ◄── draw, every 250 ms ── shell's thread, which waits for the query
//!                 first rows on the screen ── stop ──┘
//! ```
//!
//! The thread that draws does nothing else, so that lines move while a slow batch keeps all others busy. Nothing is
//! drawn once results show on the same terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use datafusion::physical_plan::ExecutionPlan;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use super::stages::{Count, Inference, Stage, inference, stages};

/// How often the lines are drawn.
pub(crate) const REDRAW: Duration = Duration::from_millis(250);
/// How often a line is written where nothing can be redrawn, such as a log.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Redraws a second that the terminal is spared above: more than [`REDRAW`] asks for.
const MAX_REDRAWS: u8 = 20;

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// Never
    Never,
    /// If standard error is a terminal
    Auto,
    /// Also in a log, as a line every few seconds
    Always,
}

/// The progress of one query at a time; clones show it in the same place.
#[derive(Debug, Clone)]
pub struct Progress {
    display: Display,
    watched: Arc<Mutex<Option<Watched>>>,
}

#[derive(Debug, Clone, Copy)]
enum Display {
    Nothing,
    /// Lines that are drawn over those before.
    Terminal,
    /// A new line now and then.
    Log,
}

/// A query whose progress is shown.
#[derive(Debug)]
struct Watched {
    plan: Arc<dyn ExecutionPlan>,
    meters: Vec<Meter>,
    /// What is on the terminal.
    screen: ProgressBar,
    logged: Instant,
}

/// Keeps a query's progress on display.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    progress: &'a Progress,
    plan: Arc<dyn ExecutionPlan>,
}

impl Progress {
    pub(crate) fn new(when: When) -> Self {
        let display = match (when, io::stderr().is_terminal()) {
            (When::Never, _) | (When::Auto, false) => Display::Nothing,
            (When::Auto | When::Always, true) => Display::Terminal,
            (When::Always, false) => Display::Log,
        };
        Self { display, watched: Arc::default() }
    }

    /// Shows the progress of `plan` until the watch is dropped.
    pub(crate) fn watch(&self, plan: &Arc<dyn ExecutionPlan>) -> Watch<'_> {
        let target = match self.display {
            Display::Terminal => ProgressDrawTarget::stderr_with_hz(MAX_REDRAWS),
            Display::Nothing | Display::Log => ProgressDrawTarget::hidden(),
        };
        let screen = ProgressBar::with_draw_target(None, target).with_style(message_only());
        let meters = stages(plan.as_ref()).into_keys().map(Meter::new).collect();
        let watched = Watched { plan: Arc::clone(plan), meters, screen, logged: Instant::now() };
        self.replace(Some(watched));
        Watch { progress: self, plan: Arc::clone(plan) }
    }

    /// Draws how far the query is by now, if there is one.
    pub(crate) fn draw(&self) {
        if let Some(watched) = self.watched.lock().as_mut() {
            match self.display {
                Display::Nothing => {}
                Display::Terminal => watched.screen.set_message(watched.lines().join("\n")),
                Display::Log if watched.logged.elapsed() < LINE_INTERVAL => {}
                Display::Log => watched.log(),
            }
        }
    }

    /// Clears what is drawn and draws no more of this query.
    pub(crate) fn stop(&self) {
        self.replace(None);
    }

    fn replace(&self, watched: Option<Watched>) {
        let mut current = self.watched.lock();
        if let Some(mut ended) = current.take() {
            ended.screen.finish_and_clear();
            if matches!(self.display, Display::Log) {
                ended.log();
            }
        }
        *current = watched;
    }

    /// Standard error, for messages that must not end up within the lines drawn there.
    #[must_use]
    pub fn stderr(&self) -> impl Write + use<> {
        Stderr(self.clone())
    }
}

impl Watch<'_> {
    /// What models did for the query so far, if it has any.
    pub(crate) fn inference(&self) -> Option<Inference> {
        inference(self.plan.as_ref())
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // a cancelled query may be dropped when the next is watched already
        let watched = self.progress.watched.lock();
        if watched.as_ref().is_some_and(|watched| Arc::ptr_eq(&watched.plan, &self.plan)) {
            drop(watched);
            self.progress.stop();
        }
    }
}

impl Watched {
    fn lines(&self) -> Vec<String> {
        let counts = stages(self.plan.as_ref());
        self.meters
            .iter()
            .map(|meter| meter.line(counts.get(&meter.stage).copied().unwrap_or_default()))
            .collect()
    }

    fn log(&mut self) {
        self.logged = Instant::now();
        let lines = self.lines();
        let lines = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let line = lines.collect::<Vec<_>>().join("; ");
        if !line.is_empty() {
            // nobody is left to tell if this fails
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// Measures how fast a stage goes.
#[derive(Debug)]
struct Meter {
    stage: Stage,
    /// Is never drawn, but estimates.
    estimator: ProgressBar,
}

impl Meter {
    fn new(stage: Stage) -> Self {
        Self { stage, estimator: ProgressBar::hidden() }
    }

    /// `inferred     1,200 of 4,000   30 %     120/s  23s left`
    fn line(&self, Count { done, total }: Count) -> String {
        self.estimator.update(|state| {
            state.set_pos(done);
            state.set_len(total.unwrap_or(u64::MAX));
        });
        let mut line = format!("{:>8} {:>11}", self.stage.name(), HumanCount(done).to_string());
        let is_done = total.is_some_and(|total| done >= total);
        // writing to a String cannot fail
        if let Some(total) = total.filter(|_| !is_done) {
            let _ = write!(line, " of {} {:>3} %", HumanCount(total), percent(done, total));
        }
        let rate = self.estimator.per_sec();
        if is_done {
            line.push_str("  done");
        } else if rate > 0.0 {
            let _ = write!(line, " {rate:>8.1}/s");
            if total.is_some() {
                let _ = write!(line, "  {:#} left", HumanDuration(self.estimator.eta()));
            }
        }
        line
    }
}

fn percent(done: u64, total: u64) -> u64 {
    (u128::from(done) * 100).checked_div(u128::from(total)).map_or(100, |share| share as u64)
}

fn message_only() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

struct Stderr(Progress);

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // messages of the code that draws can't wait for it
        match self.0.watched.try_lock().as_deref() {
            Some(Some(watched)) => watched.screen.suspend(|| io::stderr().write(text)),
            _ => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_and_end_show_where_the_total_is_known() {
        let meter = Meter::new(Stage::Inferred);
        assert_eq!(meter.line(Count { done: 0, total: None }), "inferred           0");
        let line = meter.line(Count { done: 1200, total: Some(4000) });
        assert!(line.starts_with("inferred       1,200 of 4,000  30 %"), "{line}");
        let line = meter.line(Count { done: 4000, total: Some(4000) });
        assert_eq!(line, "inferred       4,000  done");
    }

    #[test]
    fn shares_of_nothing_and_of_a_lot_are_in_bounds() {
        assert_eq!([percent(0, 0), percent(1, 3), percent(u64::MAX, u64::MAX)], [100, 33, 100]);
    }
}
