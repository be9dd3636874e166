//! What a search found out: the best configuration for each scope, and a row for every one.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::candidates::Refused;
use super::entrant::{Entrant, Scope};
use super::interval::{interval, mean};
use super::search::{BUDGET_SPENT, LEAST_GAIN, Search, is_ahead};
use crate::model::runtime::Trial;

impl<F: FnMut(&Arc<dyn ExecutionPlan>)> Search<'_, F> {
    /// The entrant to choose in a scope: the best sizes, with another morsel if that is ahead by more than chance. `None` if
    /// all fail.
    pub(super) fn best(&self, scope: Scope) -> Option<usize> {
        let best = self.best_sizes(scope)?;
        let is_better = |number: &usize| {
            let Entrant { base, ratios, failure, .. } = &self.entrants[*number];
            *base == Some(best) && failure.is_none() && is_ahead(ratios)
        };
        let others = (0..self.entrants.len()).filter(is_better);
        others.max_by(|one, other| self.score(*one).total_cmp(&self.score(*other))).or(Some(best))
    }

    /// The best of a scope, whatever its morsel, if it is ahead of the default by more than chance, or if the default
    /// fails.
    pub(super) fn best_sizes(&self, scope: Scope) -> Option<usize> {
        let default_works = self.entrants[0].failure.is_none();
        let belongs = |entrant: &Entrant| {
            entrant.base.is_none()
                && scope.covers(entrant.scope)
                && self.candidates[entrant.candidate].objection.is_none()
        };
        let members = || (1..self.entrants.len()).filter(|number| belongs(&self.entrants[*number]));
        let rounds = members().map(|number| self.entrants[number].ratios.len()).max().unwrap_or(0);
        let finalists = members().filter(|number| {
            self.entrants[*number].ratios.len() == rounds && self.entrants[*number].failure.is_none()
        });
        let best = finalists.max_by(|one, other| self.score(*one).total_cmp(&self.score(*other)));
        let is_better = |number: &usize| is_ahead(&self.entrants[*number].ratios);
        if default_works { best.filter(is_better).or(Some(0)) } else { best }
    }

    /// The performance of an entrant in multiples of the default's, with the ends of an interval.
    pub(super) fn gain(&self, number: usize) -> [f64; 3] {
        let Entrant { base, ratios, .. } = &self.entrants[number];
        let own = interval(ratios).filter(|_| number > 0).unwrap_or([1.0; 3]);
        let of_base = base.map_or([1.0; 3], |base| self.gain(base));
        std::array::from_fn(|position| own[position] * of_base[position])
    }

    /// What is known of every entrant, when `chosen` is the best, and of what was `refused`.
    pub(super) fn trials(&self, chosen: Option<usize>, refused: &[Refused]) -> Vec<Trial> {
        let trial = |(number, entrant): (usize, &Entrant)| {
            let candidate = &self.candidates[entrant.candidate];
            let time = |share| Some(entrant.model.run_time(share)?.as_secs_f64());
            Trial {
                variant: candidate.variant.clone(),
                choice: Some(entrant.choice),
                agreement: candidate.agreement,
                runs: entrant.rates.len(),
                rate: interval(&entrant.rates),
                latency: time(0.5).zip(time(0.95)).map(|(half, most)| [half, most]),
                memory_bytes: entrant.memory_bytes,
                device_use: mean(&entrant.device_use),
                outcome: self.outcome(number, chosen),
            }
        };
        let refused = refused.iter().map(|Refused { variant, reason }| Trial {
            variant: variant.clone(),
            choice: None,
            agreement: None,
            runs: 0,
            rate: None,
            latency: None,
            memory_bytes: None,
            device_use: None,
            outcome: format!("not tried: {reason}"),
        });
        self.entrants.iter().enumerate().map(trial).chain(refused).collect()
    }

    fn outcome(&self, number: usize, chosen: Option<usize>) -> String {
        let entrant = &self.entrants[number];
        if let Some(failure) = &entrant.failure {
            return format!("failed: {failure}");
        }
        if let Some(objection) = &self.candidates[entrant.candidate].objection {
            return objection.clone();
        }
        match number {
            number if Some(number) == chosen => "chosen".to_owned(),
            0 => "default".to_owned(),
            number if self.is_beyond_failure(number) => "failed: a smaller batch was refused".to_owned(),
            _ if entrant.rates.is_empty() => {
                format!("not tried: {}", entrant.left_out.unwrap_or(BUDGET_SPENT))
            }
            number if self.score(number) > chosen.map_or(0.0, |chosen| self.score(chosen)) * LEAST_GAIN => {
                "perhaps faster: measured too little to be sure, a larger budget tells".to_owned()
            }
            _ => "slower".to_owned(),
        }
    }
}
