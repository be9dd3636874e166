//! Successive halving: all configurations get a turn, the better half another one, and so on.
//!
//! ```text
//!  round 1   default │ a │ b │ c │ d │ e │ f │ default
//!  round 2   default │ e │ c │ a │ default                 in the other direction
//!  round 3   default │ c │ e │ default
//!  …         until the best is ahead of the next and of the default by more than chance, or the budget is spent
//! ```
//!
//! Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016. A turn counts
//! in multiples of the default's performance in the same round.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::ExecutionPlan;
use itertools::Itertools;

use super::candidates::Candidate;
use super::entrant::{Entrant, Scope};
use super::interval::{interval, mean};
use super::morsels;
use super::options::{Metric, TuneOptions};
use super::trial::Workload;
use crate::Result;

/// Share of the budget for the first round.
const FIRST_ROUND: f64 = 0.3;

/// Share of the budget after which configurations without a turn get none, so that the best have several.
const LAST_FIRST_TURN: f64 = 0.5;

/// A shorter turn measures the start and the end of a query more than its middle.
pub(super) const SHORTEST_TURN: Duration = Duration::from_millis(250);

/// A longer turn only delays the next.
pub(super) const LONGEST_TURN: Duration = Duration::from_secs(2);

/// Turns of a configuration, at most.
const MOST_ROUNDS: usize = 20;

/// Turns before chance is judged.
pub(super) const LEAST_ROUNDS: usize = 4;

/// Turns of the default in a round.
const TURNS_OF_DEFAULT: usize = 2;

/// Configurations, besides the default, that are measured until the end.
const FINALISTS: usize = 2;

/// Share of the best that a configuration must be expected to reach to be tried at all.
const CATCHING_UP: f64 = 0.9;

/// A gain that is worth a change.
pub(super) const LEAST_GAIN: f64 = 1.01;

/// Why a configuration had no turn if there was no time for it.
pub(super) const BUDGET_SPENT: &str = "the budget was spent";

/// Share of the budget that a batch for each session may take.
const LONGEST_BATCH: f64 = 0.2;

/// Rows a second that are assumed before the first measurement.
const FIRST_GUESS: f64 = 20.0;

/// A search in progress. The first entrant is the default.
pub(super) struct Search<'a, F> {
    workload: &'a Workload<'a, F>,
    pub(super) options: &'a TuneOptions,
    pub(super) candidates: &'a [Candidate],
    /// When the budget is spent, but for the share that is kept for morsels.
    deadline: Instant,
    /// When all of it is spent.
    pub(super) end: Instant,
    pub(super) entrants: Vec<Entrant>,
    /// Share of the rows that have no prediction with the default.
    failed: f64,
}

impl<'a, F: FnMut(&Arc<dyn ExecutionPlan>)> Search<'a, F> {
    /// A search among `entrants` until `deadline`.
    pub(super) fn new(
        workload: &'a Workload<'a, F>,
        options: &'a TuneOptions,
        candidates: &'a [Candidate],
        entrants: Vec<Entrant>,
        end: Instant,
    ) -> Self {
        let deadline = end.checked_sub(morsels::kept(options.budget)).unwrap_or(end);
        Self { workload, options, candidates, deadline, end, entrants, failed: 0.0 }
    }

    /// The scopes that entrants belong to, the narrowest first; the last covers all.
    pub(super) fn scopes(&self) -> Vec<Scope> {
        let of_entrants = || self.entrants.iter().map(|entrant| entrant.scope);
        let all = of_entrants().fold(Scope::OWN, Scope::or);
        of_entrants().chain([all]).unique().sorted_by_key(|scope| scope.width()).collect()
    }

    /// Searches; `keep` gets the state after each round.
    ///
    /// # Errors
    /// A model that can't be loaded even with the default, errors of `keep`.
    pub(super) async fn run(&mut self, mut keep: impl FnMut(&Self) -> Result<()>) -> Result<()> {
        let mut alive: Vec<usize> = (1..self.entrants.len()).collect();
        let turn = self.options.budget.mul_f64(FIRST_ROUND / (alive.len() + 2) as f64);
        let turn = turn.clamp(SHORTEST_TURN, LONGEST_TURN);
        self.first_turn().await?;
        for round in 0..MOST_ROUNDS {
            if round % 2 == 1 {
                alive.reverse();
            }
            let (started, before) = (Instant::now(), self.turns());
            self.round(&alive, turn).await?;
            let time_of_turn = started.elapsed() / u32::try_from(self.turns() - before).unwrap_or(1).max(1);
            alive.sort_by(|one, other| self.score(*other).total_cmp(&self.score(*one)));
            let kept = self.kept(&alive, self.affordable(time_of_turn, round + 1));
            alive.retain(|entrant| {
                let is_kept = kept.contains(entrant);
                if !is_kept {
                    self.entrants[*entrant].model.unload();
                }
                is_kept
            });
            keep(self)?;
            if Instant::now() >= self.deadline || self.is_decided(&alive) {
                break;
            }
        }
        self.try_morsels(&mut keep).await?;
        self.entrants.iter().for_each(|entrant| entrant.model.unload());
        Ok(())
    }

    fn turns(&self) -> usize {
        self.entrants.iter().map(|entrant| entrant.rates.len()).sum()
    }

    /// How many configurations, besides the default, can have as many rounds as it takes to judge them, after `rounds`.
    fn affordable(&self, time_of_turn: Duration, rounds: usize) -> usize {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let missing = LEAST_ROUNDS.saturating_sub(rounds).max(1);
        let turns = left.as_secs_f64() / time_of_turn.as_secs_f64().max(1e-9) / missing as f64;
        (turns as usize).saturating_sub(TURNS_OF_DEFAULT)
    }

    /// Those of `alive`, which are sorted, that get another turn: the better half of each scope, or as many as are
    /// affordable.
    fn kept(&self, alive: &[usize], affordable: usize) -> BTreeSet<usize> {
        let mut kept = BTreeSet::new();
        let scopes = self.scopes();
        let most = (affordable / scopes.len()).max(1);
        for scope in scopes {
            let is_eligible = |number: &usize| {
                let entrant = &self.entrants[*number];
                scope.covers(entrant.scope)
                    && entrant.is_in_the_race()
                    && self.candidates[entrant.candidate].objection.is_none()
            };
            let left: Vec<_> = alive.iter().copied().filter(is_eligible).collect();
            let count = left.len().div_ceil(2).max(FINALISTS).min(left.len()).min(most);
            kept.extend(&left[..count]);
        }
        kept
    }

    /// Loads the default and learns how fast about it is.
    async fn first_turn(&mut self) -> Result<()> {
        let Entrant { choice, model, .. } = &self.entrants[0];
        self.workload.warm(model, *choice).await?;
        let measured = self.workload.measure(model, *choice, SHORTEST_TURN, FIRST_GUESS).await?;
        self.failed = measured.failed;
        self.entrants[0].rates = vec![measured.rate];
        Ok(())
    }

    /// A turn for the default, for each of `alive`, and for the default again.
    async fn round(&mut self, alive: &[usize], turn: Duration) -> Result<()> {
        let before = self.turn(0, turn).await?;
        let mut measured = vec![];
        for entrant in alive {
            let is_late = Instant::now() >= self.deadline && !self.is_needed(*entrant);
            if is_late || self.is_beyond_failure(*entrant) {
                continue;
            }
            if self.entrants[*entrant].rates.is_empty() {
                self.entrants[*entrant].left_out = self.reason_to_leave_out(*entrant, &measured);
            }
            if self.entrants[*entrant].left_out.is_some() {
                continue;
            }
            match self.turn(*entrant, turn).await {
                Ok(score) => measured.push((*entrant, score)),
                Err(error) => self.entrants[*entrant].failure = Some(error.to_string()),
            }
            if alive.len() > 2 * FINALISTS {
                // Sessions of all of them at once would take much memory.
                self.entrants[*entrant].model.unload();
            }
        }
        let after = self.turn(0, turn).await?;
        let default = f64::midpoint(before, after);
        self.entrants[0].ratios.extend([before / default, after / default]);
        for (entrant, score) in measured {
            self.entrants[entrant].ratios.push(score / default);
        }
        Ok(())
    }

    /// Measures an entrant and returns its metric, which is better the higher it is.
    pub(super) async fn turn(&mut self, number: usize, time: Duration) -> Result<f64> {
        let default_rate = self.entrants[0].rates.last().copied();
        let Entrant { choice, candidate, model, rates, .. } = &self.entrants[number];
        let guess = if number == 0 { None } else { self.candidates[*candidate].rate.or(default_rate) };
        let rate = rates.last().copied().or(guess).unwrap_or(FIRST_GUESS);
        self.workload.warm(model, *choice).await?;
        let measured = self.workload.measure(model, *choice, time, rate).await?;
        let score = match self.options.metric {
            Metric::Throughput => measured.rate,
            Metric::Latency => 1.0 / model.run_time(0.5).unwrap_or(Duration::MAX).as_secs_f64().max(1e-9),
        };
        let memory_bytes = model.memory_bytes();
        let entrant = &mut self.entrants[number];
        entrant.rates.push(measured.rate);
        entrant.memory_bytes = Some(memory_bytes);
        entrant.device_use.extend(measured.device_use);
        if measured.is_refused || measured.failed > self.failed + 0.01 {
            entrant.failure = Some("the device refuses batches of this size".to_owned());
        }
        Ok(score)
    }

    /// Whether a batch that is no larger was refused with as many sessions.
    pub(super) fn is_beyond_failure(&self, number: usize) -> bool {
        let one = &self.entrants[number];
        self.entrants
            .iter()
            .filter(|entrant| entrant.failure.is_some())
            .any(|failed| failed.choice.batch_size < one.choice.batch_size && failed.is_of_family(one))
    }

    /// Whether nothing is known yet of its device and precision, which must not be missing from a comparison.
    fn is_needed(&self, number: usize) -> bool {
        let candidate = self.entrants[number].candidate;
        let mut same = self.entrants.iter().filter(|entrant| entrant.candidate == candidate);
        same.all(|entrant| entrant.rates.is_empty() && entrant.failure.is_none())
    }

    /// Why an entrant gets no turn: it would take too long, or can't be the best.
    fn reason_to_leave_out(&self, number: usize, measured: &[(usize, f64)]) -> Option<&'static str> {
        let Entrant { choice, candidate, .. } = &self.entrants[number];
        let rate = self.candidates[*candidate].rate;
        let seconds = rate.map(|rate| (choice.batch_size * choice.concurrency) as f64 / rate);
        if seconds.is_some_and(|seconds| seconds > self.options.budget.as_secs_f64() * LONGEST_BATCH) {
            return Some("its batches would take too much of the budget");
        }
        if self.is_hopeless(number, measured) {
            return Some("smaller batches are slower");
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        let is_late = left < self.options.budget.mul_f64(LAST_FIRST_TURN);
        (is_late && !self.is_needed(number)).then_some(BUDGET_SPENT)
    }

    /// Whether an entrant can't be the best: going from one smaller batch to the next, the metric grows so little, or
    /// falls so much, that the same growth would not lead to the best of this round, `measured`, that it competes with.
    fn is_hopeless(&self, number: usize, measured: &[(usize, f64)]) -> bool {
        let one = &self.entrants[number];
        let of_family = |entrant: &usize| {
            let other = &self.entrants[*entrant];
            other.is_of_family(one) && other.choice.batch_size < one.choice.batch_size
        };
        let mut family: Vec<_> = measured.iter().filter(|(entrant, _)| of_family(entrant)).collect();
        family.sort_by_key(|(entrant, _)| self.entrants[*entrant].choice.batch_size);
        let [.., (before, slower), (last, score)] = family.as_slice() else { return false };
        let batch = |entrant: usize| self.entrants[entrant].choice.batch_size as f64;
        let doublings = (batch(*last) / batch(*before)).log2();
        let growth = (score / slower).max(1.0).log2() / doublings;
        let left = (one.choice.batch_size as f64 / batch(*last)).log2() + 1.0;
        let rivals = measured.iter().filter(|(entrant, _)| one.scope.covers(self.entrants[*entrant].scope));
        let best = rivals.map(|(_, score)| *score).fold(0.0, f64::max);
        score * (growth * left).exp2() < best * CATCHING_UP
    }

    /// The metric in multiples of the default's.
    pub(super) fn score(&self, number: usize) -> f64 {
        let Entrant { base, ratios, .. } = &self.entrants[number];
        mean(ratios).unwrap_or(0.0) * base.map_or(1.0, |base| self.score(base))
    }

    /// Whether the best of each scope among `alive`, which are sorted, and the default are ahead of each other and of
    /// the next.
    fn is_decided(&self, alive: &[usize]) -> bool {
        self.scopes().into_iter().all(|scope| {
            let mut rivals = alive.iter().filter(|number| scope.covers(self.entrants[**number].scope));
            self.is_decided_between(rivals.next(), rivals.next())
        })
    }

    fn is_decided_between(&self, best: Option<&usize>, next: Option<&usize>) -> bool {
        let of = |number: &usize| {
            let ratios = &self.entrants[*number].ratios;
            interval(ratios).filter(|_| ratios.len() >= LEAST_ROUNDS)
        };
        let Some([_, low, high]) = best.and_then(of) else { return best.is_none() };
        let next = next.and_then(of).map_or(0.0, |[_, _, high]| high);
        high < LEAST_GAIN || low > 1.0 && low > next
    }
}

/// Whether something is better by more than chance and worth a change, after so many rounds.
pub(super) fn is_ahead(ratios: &[f64]) -> bool {
    ratios.len() >= LEAST_ROUNDS
        && interval(ratios).is_some_and(|[mean, low, _]| mean >= LEAST_GAIN && low > 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_faster_by_more_than_chance_is_ahead() {
        assert!(is_ahead(&[1.05, 1.04, 1.06, 1.05]));
        assert!(!is_ahead(&[1.05, 1.04, 1.06]), "too few");
        assert!(!is_ahead(&[1.3, 0.9, 1.2, 0.8]), "chance");
        assert!(!is_ahead(&[1.005, 1.004, 1.006, 1.005]), "not worth it");
    }
}
