//! The model of the bottleneck: what each resource had to give, and how much of it the query took.
//!
//! ```text
//!               takes of its time            a change makes that
//!  reading      waited for by the queue¹     × demand.read
//!  workers      busy, or waiting for room    × demand.workers     throughput grows until the first of them
//!  cores        processor time of all        × demand.cores       takes as much as the fullest does now
//!  writing      not waiting for rows         × demand.write
//! ```
//!
//! ¹ All of it if workers starve.
//!
//! The stages work at the same time on different rows, so the fullest resource sets the pace: at the throughput `X` a
//! resource that a row takes `d` seconds of, of `n` that there are, is used up to `X · d / n`, which can't exceed 1. The
//! gain of a change that leaves a row `d'` seconds is therefore the largest of these shares now, divided by the largest
//! after the change.

use crate::accounts::Accounts;

/// Workers that wait for rows for this share of their time starve: reading is used up, even if its rows come in bursts,
/// so that now and then the queue is full.
pub(in crate::advise) const STARVING: f64 = 0.2;

/// Shares of what each resource had to give, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::advise) struct Load {
    pub(in crate::advise) read: f64,
    pub(in crate::advise) workers: f64,
    pub(in crate::advise) cores: f64,
    pub(in crate::advise) write: f64,
}

/// What a row takes of each resource after a change, in multiples of what it takes now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::advise) struct Demand {
    pub(in crate::advise) read: f64,
    pub(in crate::advise) workers: f64,
    pub(in crate::advise) cores: f64,
    pub(in crate::advise) write: f64,
}

impl Demand {
    /// No change.
    pub(in crate::advise) const SAME: Self = Self { read: 1.0, workers: 1.0, cores: 1.0, write: 1.0 };
}

impl Load {
    pub(in crate::advise) fn of(accounts: &Accounts) -> Self {
        let Accounts { query, workers, stages, .. } = accounts;
        // Where more threads work than there are cores, they also wait for these.
        let own = query.cpu_seconds / accounts.core_seconds().max(1e-9);
        let own = if accounts.is_on_cores() { own.min(1.0) } else { 1.0 };
        let waiting = stages.infer.room_wait_seconds + accounts.memory.wait_seconds;
        let fed = stages.queue.input_wait_seconds;
        let feeding = (fed + stages.queue.room_wait_seconds).max(query.seconds);
        let starving = share(workers.input_wait_seconds, workers.seconds);
        let written = stages.write.busy_seconds;
        Self {
            read: if starving >= STARVING { 1.0 } else { share(fed, feeding) },
            workers: share(workers.busy_seconds * own + waiting, workers.seconds),
            cores: query.cpu_share,
            write: share(written, written + stages.write.input_wait_seconds),
        }
    }

    /// Throughput after a change, in multiples of what it is.
    pub(in crate::advise) fn gain(&self, demand: Demand) -> f64 {
        let Demand { read, workers, cores, write } = demand;
        let after = Self {
            read: self.read * read,
            workers: self.workers * workers,
            cores: self.cores * cores,
            write: self.write * write,
        };
        share_or(self.fullest().1, after.fullest().1, 1.0)
    }

    /// The resource that sets the pace, and its share.
    pub(in crate::advise) fn fullest(&self) -> (&'static str, f64) {
        let Self { read, workers, cores, write } = *self;
        let work = if workers > 0.0 { "inference" } else { "computing" };
        let all = [("reading", read), (work, workers.max(cores)), ("writing", write)];
        all.into_iter().fold((work, 0.0), |most, next| if next.1 > most.1 { next } else { most })
    }
}

/// `part` of `all`, 0 to 1; 0 of nothing.
fn share(part: f64, all: f64) -> f64 {
    share_or(part, all, 0.0).clamp(0.0, 1.0)
}

fn share_or(part: f64, all: f64, nothing: f64) -> f64 {
    if all > 0.0 { part / all } else { nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load { read: 0.2, workers: 0.9, cores: 0.5, write: 0.1 };

    #[test]
    fn the_fullest_resource_sets_the_pace() {
        assert_eq!(LOAD.fullest(), ("inference", 0.9));
        assert_eq!(LOAD.gain(Demand::SAME), 1.0);
        let close = |gain: f64, expected: f64| assert!((gain - expected).abs() < 1e-9, "{gain}");
        close(LOAD.gain(Demand { workers: 0.5, ..Demand::SAME }), 0.9 / 0.5);
        close(LOAD.gain(Demand { workers: 0.5, cores: 0.5, ..Demand::SAME }), 2.0);
        close(LOAD.gain(Demand { write: 0.1, ..Demand::SAME }), 1.0);
        let starved = Load { read: 1.0, workers: 0.25, cores: 0.2, write: 0.0 };
        assert_eq!(starved.fullest().0, "reading");
        close(starved.gain(Demand { read: 0.0, ..Demand::SAME }), 4.0);
    }
}
