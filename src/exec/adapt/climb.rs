//! Which batch size is fastest, found on a query's own rows.
//!
//! ```text
//!  morsels ─┬─ nearly all: the batch size in use ─► its time a row, lately
//!           └─ at most 3 % of the rows: twice or half of it, too ─► logarithm of time a row ÷ that ─► mean, standard error
//!                                                                            │
//!              faster by 3 % and by more than chance: in use from now on, and its neighbours are next ◄─┘
//! ```
//!
//! Means are of logarithms on both sides: a machine with other work slows some morsels down much, and the logarithm of
//! a mean time would be more than the mean of logarithms.

use std::collections::BTreeSet;
use std::time::Duration;

/// Share of the rows of an operator that may run at another batch size as well as at the one in use.
const EXPLORED: f64 = 0.03;

/// Time that a query runs before anything is tried. Shorter ones can't gain what trials cost: of a query of six seconds with a
/// small model, they took 2.5 %.
const WARM: Duration = Duration::from_secs(20);

/// Gain, as a logarithm, below which a change is not worth it: 3 %.
const LEAST_GAIN: f64 = 0.03;

/// Standard errors that a mean is taken to be off by at most: more than usual, since it is judged after each trial.
const CAUTION: f64 = 3.0;

/// Morsels that a batch size is tried on at least, and at most.
const TRIALS: (u32, u32) = (4, 40);

/// Weight of the last morsel in what the batch size in use takes lately.
const LAST: f64 = 1.0 / 16.0;

/// Morsels at the batch size in use before others are compared with it.
const SETTLED: u32 = 16;

/// A search for the fastest batch size.
#[derive(Debug)]
pub(super) struct Climb {
    sessions: u32,
    /// Share of the rows that may run at other sizes than the one in use.
    explored_share: f64,
    /// The size that the query began with, and the one in use.
    first: usize,
    base: usize,
    /// Most rows of a morsel so far.
    most: usize,
    /// Whether sessions are loaded and caches are warm.
    is_warm: bool,
    rows: usize,
    explored: usize,
    /// The logarithm of the seconds a row of the size in use, lately, and the morsels that it was seen on.
    lately: f64,
    seen: u32,
    /// How far morsels of the size in use are from that: the mean square.
    variance: f64,
    tried: BTreeSet<usize>,
    candidate: Option<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    batch: usize,
    /// Trials that don't count: the first run of a size takes longer, since a session allocates memory for it.
    cold: u32,
    trials: u32,
    /// Of the logarithms of ratios to the size in use.
    mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
}

impl Climb {
    /// A search that begins with the size `first`, for a model in so many sessions, on this share of the rows that may run
    /// at other sizes.
    pub(super) fn new(first: usize, sessions: usize, share: f64) -> Self {
        Self {
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            explored_share: EXPLORED * share,
            first,
            base: first,
            most: first,
            is_warm: false,
            rows: 0,
            explored: 0,
            lately: 0.0,
            seen: 0,
            variance: 0.0,
            tried: BTreeSet::from([first]),
            candidate: None,
        }
    }

    /// The batch size in use.
    pub(super) fn in_use(&self) -> usize {
        self.base
    }

    /// The batch size in use, if it is not the first.
    pub(super) fn changed(&self) -> Option<usize> {
        (self.base != self.first).then_some(self.base)
    }

    /// The batch size for a morsel of `rows` rows that begins when the query has run for `elapsed`: the one in use, unless
    /// another `may_be_tried`.
    pub(super) fn next(&mut self, rows: usize, elapsed: Duration, may_be_tried: bool) -> usize {
        self.most = self.most.max(rows);
        self.is_warm = elapsed >= WARM;
        let allowed = (self.explored + rows) as f64 <= self.explored_share * self.rows as f64;
        if self.seen < SETTLED || !allowed || !may_be_tried {
            return self.base;
        }
        if self.candidate.is_none() {
            let neighbours = [self.base.saturating_mul(2), self.base / 2];
            let untried = neighbours.into_iter().find(|batch| self.is_new(*batch));
            self.candidate = untried.map(|batch| Candidate {
                batch,
                cold: self.sessions,
                trials: 0,
                mean: 0.0,
                squares: 0.0,
            });
        }
        match &self.candidate {
            // A run of fewer rows would say nothing of the batch size.
            Some(candidate) if rows >= candidate.batch.max(self.base) => {
                self.explored += rows;
                candidate.batch
            }
            _ => self.base,
        }
    }

    /// Tries no other size any more. The one in use stays.
    pub(super) fn end(&mut self) {
        self.explored_share = 0.0;
        self.candidate = None;
    }

    /// The rows that a morsel needs for twice the size in use, soon enough for that to be tried next.
    pub(super) fn wanted(&self) -> Option<usize> {
        (self.seen >= SETTLED / 2 && self.explored_share > 0.0).then_some(self.base.saturating_mul(2))
    }

    fn is_new(&self, batch: usize) -> bool {
        (1..=self.most).contains(&batch) && !self.tried.contains(&batch)
    }

    /// Takes note of a morsel of `rows` rows that ran at the batch size `batch`.
    pub(super) fn add(&mut self, batch: usize, rows: usize, time: Duration) {
        self.rows += rows;
        if !self.is_warm || time.is_zero() || rows < self.base {
            return;
        }
        let difference = (time.as_secs_f64() / rows as f64).ln() - self.lately;
        if batch == self.base {
            if self.seen > 0 {
                self.variance += (difference.powi(2) - self.variance) / f64::from(self.seen);
            }
            self.seen += 1;
            self.lately += difference * (1.0 / f64::from(self.seen)).max(LAST);
        } else if let Some(mut candidate) = self.candidate.take_if(|candidate| candidate.batch == batch) {
            candidate.add(difference);
            self.judge(candidate);
        }
    }

    fn judge(&mut self, candidate: Candidate) {
        let Candidate { mean, trials, .. } = candidate;
        let error = candidate.error(self.variance);
        let is_faster = mean <= -LEAST_GAIN && mean + error < 0.0;
        let is_open = !is_faster && mean - error < -LEAST_GAIN;
        if trials < TRIALS.0 || is_open && trials < TRIALS.1 {
            self.candidate = Some(candidate);
            return;
        }
        self.tried.insert(candidate.batch);
        if is_faster {
            (self.base, self.seen, self.lately, self.variance) = (candidate.batch, 0, 0.0, 0.0);
        }
    }
}

impl Candidate {
    fn add(&mut self, ratio: f64) {
        if self.cold > 0 {
            self.cold -= 1;
            return;
        }
        self.trials += 1;
        let difference = ratio - self.mean;
        self.mean += difference / f64::from(self.trials);
        self.squares += difference * (ratio - self.mean);
    }

    /// How far the mean may be off. Few trials may happen to agree, so they are taken to differ as much as the morsels
    /// of the size in use at least, whose `variance` is known from many.
    fn error(&self, variance: f64) -> f64 {
        let trials = f64::from(self.trials.max(1));
        let own = self.squares / (trials - 1.0).max(1.0);
        (own.max(variance) / trials).sqrt() * CAUTION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = WARM.saturating_add(Duration::from_secs(1));

    /// Runs `morsels` morsels of `rows` rows, of which a row takes `seconds` at a batch size, more or less.
    fn run(climb: &mut Climb, morsels: usize, rows: usize, seconds: impl Fn(usize) -> f64) -> usize {
        let mut others = 0;
        for number in 0..morsels {
            let in_use = climb.base;
            let batch = climb.next(rows, LATER, true);
            others += usize::from(batch != in_use);
            // Photos differ by a third.
            let noise = 1.0 + f64::from((number * 7919 % 13) as i32 - 6) / 18.0;
            climb.add(batch, rows, Duration::from_secs_f64(rows as f64 * seconds(batch) * noise));
        }
        others
    }

    #[test]
    fn a_faster_size_is_found_at_a_small_share_of_the_rows() {
        let mut climb = Climb::new(1, 2, 1.0);
        let others = run(&mut climb, 20_000, 32, |batch| match batch {
            1 => 0.010,
            2 => 0.008,
            4 => 0.006,
            _ => 0.007,
        });
        assert_eq!(climb.changed(), Some(4));
        assert!((20..=600).contains(&others), "{others}");
    }

    #[test]
    fn a_size_that_is_no_faster_is_left_and_not_tried_again() {
        let mut climb = Climb::new(4, 2, 1.0);
        run(&mut climb, 10_000, 32, |batch| if batch == 8 { 0.0099 } else { 0.010 });
        assert_eq!((climb.changed(), climb.tried.clone()), (None, [2, 4, 8].into()));
        assert_eq!(run(&mut climb, 1_000, 32, |_| 0.010), 0);
    }

    #[test]
    fn the_first_runs_of_a_size_do_not_count() {
        let mut climb = Climb::new(8, 2, 1.0);
        let mut colds = 2;
        for _ in 0..1_000 {
            let batch = climb.next(16, LATER, true);
            let is_cold = batch == 16 && colds > 0;
            colds -= usize::from(is_cold);
            let seconds = if is_cold { 0.016 } else { 0.16 / (8 + batch) as f64 };
            climb.add(batch, 16, Duration::from_secs_f64(16.0 * seconds));
        }
        assert_eq!(climb.changed(), Some(16));
    }

    #[test]
    fn morsels_grow_for_a_larger_size() {
        let mut climb = Climb::new(8, 2, 1.0);
        assert_eq!(climb.wanted(), None);
        run(&mut climb, 1_000, 8, |_| 0.01);
        assert_eq!(climb.wanted(), Some(16));
        run(&mut climb, 10_000, 16, |batch| if batch == 16 { 0.008 } else { 0.01 });
        assert_eq!((climb.changed(), climb.wanted()), (Some(16), Some(32)));
    }

    #[test]
    fn nothing_is_tried_in_a_short_query_nor_beyond_a_morsel() {
        let mut climb = Climb::new(8, 2, 1.0);
        for _ in 0..1000 {
            assert_eq!(climb.next(8, WARM / 2, true), 8);
            climb.add(8, 8, Duration::from_millis(10));
        }
        assert_eq!((climb.changed(), climb.tried.len()), (None, 1));
        run(&mut climb, 10_000, 8, |batch| if batch == 4 { 0.02 } else { 0.01 });
        assert_eq!((climb.changed(), climb.tried.clone()), (None, [4, 8].into()));
    }

    #[test]
    fn a_search_that_was_ended_tries_nothing() {
        let mut climb = Climb::new(4, 2, 1.0);
        run(&mut climb, 1_000, 32, |_| 0.01);
        climb.end();
        assert_eq!(run(&mut climb, 10_000, 32, |batch| if batch == 8 { 0.005 } else { 0.01 }), 0);
        assert_eq!((climb.changed(), climb.wanted()), (None, None));
    }

    #[test]
    fn of_several_models_each_tries_its_share_of_the_rows() {
        let mut climb = Climb::new(4, 2, 0.5);
        let mut tried = 0;
        for number in 0..10_000 {
            let batch = climb.next(32, LATER, number % 2 == 0);
            tried += usize::from(batch != 4);
            assert!(batch == 4 || number % 2 == 0);
            // Never judged: too much noise.
            climb.add(batch, 32, Duration::from_secs_f64(if number % 3 == 0 { 0.1 } else { 0.3 }));
        }
        assert!((1..=150).contains(&tried), "{tried}");
    }
}
