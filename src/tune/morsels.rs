//! The last part of a search: the rows of a morsel, for the best of the other sizes.
//!
//! ```text
//!  round 1   best │ its morsels × 2 │ its morsels ÷ 2 │ best
//!  round 2   best │ ÷ 2 │ × 2 │ best                          in the other direction
//!  …         until both are ahead of the best by more than chance or not worth a change, or the budget is spent
//! ```
//!
//! A share of the budget is kept for it, unless the budget is short. A turn counts in multiples of the best's performance
//! in the same round.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::ExecutionPlan;
use itertools::Itertools;

use super::entrant::Entrant;
use super::interval::interval;
use super::options::Metric;
use super::search::{LEAST_GAIN, LEAST_ROUNDS, LONGEST_TURN, SHORTEST_TURN, Search, is_ahead};
use crate::Result;
use crate::model::runtime::Choice;
use crate::plan::morsel_rows;

/// Share of the budget that is kept for morsels.
const SHARE: f64 = 0.2;

/// Turns of a round, at most.
const TURNS: usize = 4;

/// Rounds, at most.
const MOST_ROUNDS: usize = 8;

impl<F: FnMut(&Arc<dyn ExecutionPlan>)> Search<'_, F> {
    /// Tries other morsels for the best of each scope, if there is time; `keep` gets the state after each round.
    ///
    /// # Errors
    /// Errors of `keep`.
    pub(super) async fn try_morsels(&mut self, keep: &mut impl FnMut(&Self) -> Result<()>) -> Result<()> {
        // The time of a run does not depend on the morsel.
        if self.options.metric == Metric::Latency {
            return Ok(());
        }
        let best: Vec<_> =
            self.scopes().into_iter().filter_map(|scope| self.best_sizes(scope)).unique().collect();
        for base in best {
            let rows = other_morsels(self.entrants[base].choice);
            let left = self.end.saturating_duration_since(Instant::now());
            let turn = left.div_f64((LEAST_ROUNDS * (rows.len() + 2)) as f64);
            if turn < SHORTEST_TURN {
                return Ok(());
            }
            let first = self.entrants.len();
            let Entrant { candidate, choice, .. } = self.entrants[base];
            self.entrants.extend(rows.into_iter().map(|rows| {
                let choice = Choice { morsel_rows: Some(rows), ..choice };
                Entrant { base: Some(base), ..Entrant::new(self.candidates, candidate, choice) }
            }));
            let mut others: Vec<_> = (first..self.entrants.len()).collect();
            for round in 1..=MOST_ROUNDS {
                self.morsel_round(base, &others, turn.min(LONGEST_TURN)).await;
                keep(self)?;
                others.reverse();
                let is_decided = || others.iter().all(|number| self.is_decided_on(*number));
                let is_late = Instant::now() >= self.end || self.entrants[base].failure.is_some();
                if is_late || round >= LEAST_ROUNDS && is_decided() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn morsel_round(&mut self, base: usize, others: &[usize], turn: Duration) {
        let Some(before) = self.morsel_turn(base, turn).await else { return };
        let mut measured = vec![];
        for number in others {
            if self.entrants[*number].is_in_the_race() {
                measured.extend(self.morsel_turn(*number, turn).await.map(|score| (*number, score)));
            }
        }
        let Some(after) = self.morsel_turn(base, turn).await else { return };
        for (number, score) in measured {
            self.entrants[number].ratios.push(score / f64::midpoint(before, after));
        }
    }

    /// A turn; `None` if it fails, which is noted.
    async fn morsel_turn(&mut self, number: usize, turn: Duration) -> Option<f64> {
        match self.turn(number, turn).await {
            Ok(score) => Some(score),
            Err(error) => {
                self.entrants[number].failure = Some(error.to_string());
                None
            }
        }
    }

    fn is_decided_on(&self, number: usize) -> bool {
        let Entrant { ratios, failure, .. } = &self.entrants[number];
        failure.is_some()
            || is_ahead(ratios)
            || interval(ratios).is_some_and(|[_, _, high]| high < LEAST_GAIN)
    }
}

/// What of a budget is kept for morsels: nothing if that would be too little.
pub(super) fn kept(budget: Duration) -> Duration {
    let kept = budget.mul_f64(SHARE);
    if kept >= SHORTEST_TURN.mul_f64((LEAST_ROUNDS * TURNS) as f64) { kept } else { Duration::ZERO }
}

/// Twice and half the rows of the morsels that a plan has with these sizes, whole batches in any case.
fn other_morsels(choice: Choice) -> Vec<usize> {
    let rows = morsel_rows(choice.batch_size);
    let is_whole = |other: &usize| *other > 0 && other.is_multiple_of(choice.batch_size);
    [rows * 2, rows / 2].into_iter().filter(is_whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_budgets_are_for_the_other_sizes() {
        let kept = |seconds| kept(Duration::from_secs(seconds));
        assert_eq!([3, 19, 30].map(kept), [0, 0, 6].map(Duration::from_secs));
    }

    #[test]
    fn morsels_are_whole_batches() {
        let others =
            |batch_size| other_morsels(Choice { batch_size, concurrency: 1, num_cpus: 1, morsel_rows: None });
        assert_eq!([1, 2, 4].map(others), [[16, 4], [16, 4], [16, 4]]);
        assert_eq!([8, 32].map(others), [vec![16], vec![64]]);
        // Nine rows are three batches.
        assert_eq!(others(3), [18]);
    }
}
