//! A query's accounts at moments of its run.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::accounts::{Accounting, Accounts};

/// The first samples are so close.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);

/// With more samples, every second one is dropped.
const MOST: usize = 240;

/// What was done up to a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Since the start.
    pub seconds: f64,
    /// Rows that models ran on; without models, rows that were read.
    pub rows: u64,
    /// Time at work of each stage, in the order of [`Stages::named`](crate::accounts::Stages::named).
    pub busy_seconds: Vec<f64>,
}

/// The samples of one query.
#[derive(Debug)]
pub(crate) struct Samples {
    interval: Duration,
    last: Instant,
    pub(crate) all: Vec<Sample>,
}

impl Samples {
    /// The samples of a query that begins now.
    pub(crate) fn new(accounting: &Accounting) -> Self {
        let mut samples = Self { interval: FIRST_INTERVAL, last: Instant::now(), all: vec![] };
        samples.add(&accounting.accounts());
        samples
    }

    /// How long until the next sample.
    pub(crate) fn next(&self) -> Duration {
        self.interval.saturating_sub(self.last.elapsed())
    }

    /// Takes a sample, if it is time for one.
    pub(crate) fn take(&mut self, accounting: &Accounting) {
        if self.next().is_zero() {
            self.last = Instant::now();
            self.add(&accounting.accounts());
        }
    }

    /// Adds the last sample.
    pub(crate) fn add(&mut self, accounts: &Accounts) {
        self.all.push(Sample {
            seconds: accounts.query.seconds,
            rows: rows(accounts),
            busy_seconds: accounts.stages.named().iter().map(|(_, stage)| stage.busy_seconds).collect(),
        });
        if self.all.len() > MOST {
            let mut number = 0;
            self.all.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.interval *= 2;
        }
    }
}

/// The rows that throughput is about.
pub(crate) fn rows(accounts: &Accounts) -> u64 {
    if accounts.models.is_empty() { accounts.stages.read.rows } else { accounts.stages.infer.rows }
}
