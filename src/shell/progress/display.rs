//! Shows the progress of the running query on standard error: one line per stage, redrawn in place.
//!
//! ```text
//!  query threads: plan ── watch ──► Progress ◄── draw, every 250 ms ── shell's thread, which waits for the query
//!                    first rows on the terminal ── stop ──┘
//! ```
//!
//! The thread that draws does nothing else, so that lines are updated while a slow batch keeps all others busy. Nothing
//! is drawn once results are printed on the same terminal, or into a pipe whose reader may print on it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use datafusion::physical_plan::ExecutionPlan;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use parking_lot::Mutex;

use super::terminal::NarrowTerminal;
use crate::accounts::Accounting;
use crate::advise::facts;
use crate::progress::{Count, Inference, QueryProgress, Stage};
use crate::secrets::hidden;

/// How often the lines are drawn.
pub(crate) const REDRAW: Duration = Duration::from_millis(250);
/// How often a line is written if lines can't be redrawn, such as in a log.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// A query of this length ends with a line on what limited it.
const LONG: Duration = Duration::from_secs(10);
/// Upper limit of redraws per second: higher than the rate of [`REDRAW`].
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

/// The progress of one query at a time; clones share one display.
#[derive(Debug, Clone)]
pub struct Progress {
    display: Display,
    watched: Arc<Mutex<Option<Watched>>>,
}

#[derive(Debug, Clone, Copy)]
enum Display {
    Nothing,
    /// Lines that replace the previous ones.
    Terminal,
    /// A new line at intervals.
    Log,
}

/// A query whose progress is shown.
#[derive(Debug)]
struct Watched {
    query: QueryProgress,
    meters: Vec<Meter>,
    /// The lines on the terminal.
    screen: ProgressBar,
    logged: Instant,
}

/// Shows a query's progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    progress: &'a Progress,
    query: QueryProgress,
    accounting: Accounting,
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
            Display::Terminal => {
                ProgressDrawTarget::term_like_with_hz(Box::new(NarrowTerminal::stderr()), MAX_REDRAWS)
            }
            Display::Nothing | Display::Log => ProgressDrawTarget::hidden(),
        };
        let screen = ProgressBar::with_draw_target(None, target).with_style(message_only());
        let query = QueryProgress::new(plan);
        let meters = query.stages().into_keys().map(Meter::new).collect();
        self.replace(Some(Watched { query: query.clone(), meters, screen, logged: Instant::now() }));
        let accounting = Accounting::new(plan);
        accounting.begin();
        Watch { progress: self, query, accounting }
    }

    /// Whether lines on a terminal are replaced, so that other text must not come between them.
    pub(crate) fn is_redrawn(&self) -> bool {
        matches!(self.display, Display::Terminal)
    }

    /// Draws the current progress of the query, if there is one.
    pub(crate) fn draw(&self) {
        if let Some(watched) = self.watched.lock().as_mut() {
            match self.display {
                Display::Nothing => {}
                Display::Terminal => watched.redraw(),
                Display::Log if watched.logged.elapsed() < LINE_INTERVAL => {}
                Display::Log => watched.log(),
            }
        }
    }

    /// Clears the lines and stops drawing this query's progress.
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

    /// Standard error, for messages that must not mix with the progress lines. Passwords and keys in them are hidden.
    #[must_use]
    pub fn stderr(&self) -> impl Write + use<> {
        Stderr(self.clone())
    }
}

impl Watch<'_> {
    /// The query's inference so far, if it has any.
    pub(crate) fn inference(&self) -> Option<Inference> {
        self.query.inference()
    }

    /// What limits the query, if it has taken long.
    pub(crate) fn facts(&self) -> Option<String> {
        let accounts = self.accounting.accounts();
        facts(&accounts).filter(|_| accounts.query.seconds >= LONG.as_secs_f64())
    }

    /// The files that the query skipped so far.
    pub(crate) fn skipped_files(&self) -> u64 {
        self.query.skipped_files()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // A cancelled query may be dropped after the next one is already watched.
        let watched = self.progress.watched.lock();
        if watched.as_ref().is_some_and(|watched| watched.query.is_same(&self.query)) {
            drop(watched);
            self.progress.stop();
        }
    }
}

impl Watched {
    fn lines(&self) -> Vec<String> {
        let counts = self.query.stages();
        self.meters
            .iter()
            .map(|meter| meter.line(counts.get(&meter.stage).copied().unwrap_or_default()))
            .collect()
    }

    fn redraw(&self) {
        let width = usize::from(NarrowTerminal::stderr().width());
        let lines = self.lines();
        let lines = lines.iter().map(|line| line.chars().take(width).collect::<String>());
        self.screen.set_message(lines.collect::<Vec<_>>().join("\n"));
    }

    fn log(&mut self) {
        self.logged = Instant::now();
        let lines = self.lines();
        let lines = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let line = lines.collect::<Vec<_>>().join("; ");
        if !line.is_empty() {
            // If this fails, the error can't be reported.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// Measures the rate of a stage.
#[derive(Debug)]
struct Meter {
    stage: Stage,
    /// Never drawn; used for estimates only.
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
        let mut line = format!("{:>8} {:>11}", self.stage.to_string(), HumanCount(done).to_string());
        let is_done = total.is_some_and(|total| done >= total);
        // Writing to a String can't fail.
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
        let line = String::from_utf8_lossy(text);
        let line = hidden(&line);
        // Messages logged while drawing must not wait for the lock, which the same thread holds.
        match self.0.watched.try_lock().as_deref() {
            Some(Some(watched)) => watched.screen.suspend(|| io::stderr().write_all(line.as_bytes())),
            _ => io::stderr().write_all(line.as_bytes()),
        }?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentage_and_end_are_shown_if_the_total_is_known() {
        let meter = Meter::new(Stage::Inferred);
        assert_eq!(meter.line(Count { done: 0, total: None }), "inferred           0");
        let line = meter.line(Count { done: 1200, total: Some(4000) });
        assert!(line.starts_with("inferred       1,200 of 4,000  30 %"), "{line}");
        let line = meter.line(Count { done: 4000, total: Some(4000) });
        assert_eq!(line, "inferred       4,000  done");
    }

    #[test]
    fn percentages_of_zero_and_of_large_totals_are_in_range() {
        assert_eq!([percent(0, 0), percent(1, 3), percent(u64::MAX, u64::MAX)], [100, 33, 100]);
    }
}
