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

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::ExecutionPlan;

use super::interval::{interval, mean};
use super::options::{Metric, TuneOptions};
use super::trial::Workload;
use crate::Result;
use crate::model::runtime::{Choice, Model, Trial};

/// Share of the budget for the first round.
const FIRST_ROUND: f64 = 0.3;

/// A shorter turn measures the start and the end of a query more than its middle.
const SHORTEST_TURN: Duration = Duration::from_millis(250);

/// A longer turn only delays the next.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// Turns of a configuration, at most.
const MOST_ROUNDS: usize = 20;

/// Turns before chance is judged.
const LEAST_ROUNDS: usize = 4;

/// Configurations, besides the default, that are measured until the end.
const FINALISTS: usize = 2;

/// Share of the best that a configuration must be expected to reach to be tried at all.
const CATCHING_UP: f64 = 0.9;

/// A gain that is worth a change.
const LEAST_GAIN: f64 = 1.01;

/// Rows a second that are assumed before the first measurement.
const FIRST_GUESS: f64 = 20.0;

/// A configuration in the search.
pub(super) struct Entrant {
    pub(super) choice: Choice,
    model: Arc<Model>,
    /// Rows a second of each turn.
    rates: Vec<f64>,
    /// The metric in multiples of the default's in the same round.
    pub(super) ratios: Vec<f64>,
    memory_bytes: Option<u64>,
    failure: Option<String>,
    /// Why it had no turn.
    left_out: Option<&'static str>,
}

impl Entrant {
    fn is_in_the_race(&self) -> bool {
        self.failure.is_none() && self.left_out.is_none()
    }
}

/// A search in progress. The first entrant is the default.
pub(super) struct Search<'a, F> {
    workload: &'a Workload<'a, F>,
    options: TuneOptions,
    deadline: Instant,
    pub(super) entrants: Vec<Entrant>,
    /// Share of the rows that have no prediction with the default.
    failed: f64,
}

impl<'a, F: FnMut(&Arc<dyn ExecutionPlan>)> Search<'a, F> {
    /// A search among `choices` for `model`, from now on.
    pub(super) fn new(
        workload: &'a Workload<'a, F>,
        options: TuneOptions,
        model: &Model,
        choices: Vec<Choice>,
    ) -> Self {
        let entrants = choices.into_iter().map(|choice| Entrant {
            choice,
            model: Arc::new(model.with_choice(choice)),
            rates: vec![],
            ratios: vec![],
            memory_bytes: None,
            failure: None,
            left_out: None,
        });
        let entrants = entrants.collect();
        Self { workload, options, deadline: Instant::now() + options.budget, entrants, failed: 0.0 }
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
            self.round(&alive, turn).await?;
            let (mut left, lost): (Vec<_>, Vec<_>) =
                alive.into_iter().partition(|entrant| self.entrants[*entrant].is_in_the_race());
            lost.into_iter().for_each(|entrant| self.entrants[entrant].model.unload());
            left.sort_by(|one, other| self.score(*other).total_cmp(&self.score(*one)));
            let kept = left.len().div_ceil(2).max(FINALISTS).min(left.len());
            left.split_off(kept).into_iter().for_each(|entrant| self.entrants[entrant].model.unload());
            alive = left;
            keep(self)?;
            if Instant::now() >= self.deadline || self.is_decided(&alive) {
                break;
            }
        }
        self.entrants.iter().for_each(|entrant| entrant.model.unload());
        Ok(())
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
            let is_first = self.entrants[*entrant].rates.is_empty();
            if Instant::now() >= self.deadline || self.is_beyond_failure(*entrant) {
                continue;
            }
            if is_first && self.is_hopeless(*entrant, &measured) {
                self.entrants[*entrant].left_out = Some("smaller batches are slower");
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
    async fn turn(&mut self, number: usize, time: Duration) -> Result<f64> {
        let default_rate = self.entrants[0].rates.last().copied();
        let Entrant { choice, model, rates, .. } = &self.entrants[number];
        let rate = rates.last().copied().or(default_rate).unwrap_or(FIRST_GUESS);
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
        if measured.is_refused || measured.failed > self.failed + 0.01 {
            entrant.failure = Some("the device refuses batches of this size".to_owned());
        }
        Ok(score)
    }

    /// Whether a batch that is no larger was refused with as many sessions.
    fn is_beyond_failure(&self, number: usize) -> bool {
        let one = &self.entrants[number].choice;
        self.entrants.iter().filter(|entrant| entrant.failure.is_some()).any(|failed| {
            let other = &failed.choice;
            other.batch_size < one.batch_size
                && (other.concurrency, other.num_cpus) == (one.concurrency, one.num_cpus)
        })
    }

    /// Whether an entrant can't be the best: going from one smaller batch to the next, the metric grows so little, or
    /// falls so much, that the same growth would not lead to the best of this round, `measured`.
    fn is_hopeless(&self, number: usize, measured: &[(usize, f64)]) -> bool {
        let one = self.entrants[number].choice;
        let of_family = |entrant: &usize| {
            let other = self.entrants[*entrant].choice;
            (other.concurrency, other.num_cpus) == (one.concurrency, one.num_cpus)
                && other.batch_size < one.batch_size
        };
        let mut family: Vec<_> = measured.iter().filter(|(entrant, _)| of_family(entrant)).collect();
        family.sort_by_key(|(entrant, _)| self.entrants[*entrant].choice.batch_size);
        let [.., (before, slower), (last, score)] = family.as_slice() else { return false };
        let batch = |entrant: usize| self.entrants[entrant].choice.batch_size as f64;
        let doublings = (batch(*last) / batch(*before)).log2();
        let growth = (score / slower).max(1.0).log2() / doublings;
        let left = (one.batch_size as f64 / batch(*last)).log2() + 1.0;
        let best = measured.iter().map(|(_, score)| *score).fold(0.0, f64::max);
        score * (growth * left).exp2() < best * CATCHING_UP
    }

    fn score(&self, number: usize) -> f64 {
        mean(&self.entrants[number].ratios).unwrap_or(0.0)
    }

    /// Whether the best of `alive`, which are sorted, and the default are ahead of each other and of the next.
    fn is_decided(&self, alive: &[usize]) -> bool {
        let of = |number: usize| {
            let ratios = &self.entrants[number].ratios;
            interval(ratios).filter(|_| ratios.len() >= LEAST_ROUNDS)
        };
        let Some([_, low, high]) = alive.first().and_then(|best| of(*best)) else { return alive.is_empty() };
        let next = alive.get(1).and_then(|next| of(*next)).map_or(0.0, |[_, _, high]| high);
        high < LEAST_GAIN || low > 1.0 && low > next
    }

    /// The entrant to choose: the best, if it is ahead of the default by more than chance, or if the default fails. `None` if
    /// all fail.
    pub(super) fn best(&self) -> Option<usize> {
        let default_works = self.entrants[0].failure.is_none();
        let rounds = self.entrants.iter().map(|entrant| entrant.ratios.len()).skip(1).max().unwrap_or(0);
        let finalists = (1..self.entrants.len()).filter(|number| {
            self.entrants[*number].ratios.len() == rounds && self.entrants[*number].failure.is_none()
        });
        let best = finalists.max_by(|one, other| self.score(*one).total_cmp(&self.score(*other)));
        let is_better = |number: &usize| {
            let ratios = &self.entrants[*number].ratios;
            ratios.len() >= LEAST_ROUNDS
                && interval(ratios).is_some_and(|[mean, low, _]| mean >= LEAST_GAIN && low > 1.0)
        };
        if default_works { best.filter(is_better).or(Some(0)) } else { best }
    }

    /// What is known of every entrant.
    pub(super) fn trials(&self) -> Vec<Trial> {
        let best = self.best();
        let trial = |(number, entrant): (usize, &Entrant)| {
            let outcome = match (&entrant.failure, number) {
                (Some(failure), _) => format!("failed: {failure}"),
                (None, number) if Some(number) == best => "chosen".to_owned(),
                (None, 0) => "default".to_owned(),
                (None, number) if self.is_beyond_failure(number) => {
                    "failed: a smaller batch was refused".to_owned()
                }
                (None, _) if entrant.rates.is_empty() => {
                    format!("not tried: {}", entrant.left_out.unwrap_or("the budget was spent"))
                }
                (None, _) => "slower".to_owned(),
            };
            let time = |share| Some(entrant.model.run_time(share)?.as_secs_f64());
            Trial {
                choice: entrant.choice,
                runs: entrant.rates.len(),
                rate: interval(&entrant.rates),
                latency: time(0.5).zip(time(0.95)).map(|(half, most)| [half, most]),
                memory_bytes: entrant.memory_bytes,
                outcome,
            }
        };
        self.entrants.iter().enumerate().map(trial).collect()
    }
}
