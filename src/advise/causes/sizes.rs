//! Batch size, sessions, threads and partitions: what the model's sizes are, and others to try.

use std::sync::Arc;

use datafusion::common::utils::quote_identifier;
use itertools::Itertools;

use crate::Result;
use crate::advise::evidence::{Change, Trials, counted};
use crate::model::Predictor;
use crate::model::runtime::{Choice, Machine, Model};
use crate::model::settings::Source;

/// What may be wrong, and what would mend it; how much that gains a trial shows.
pub(in crate::advise) struct Candidate {
    pub(in crate::advise) cause: &'static str,
    pub(in crate::advise) finding: String,
    /// Figures beside those of the trial.
    pub(in crate::advise) evidence: String,
    pub(in crate::advise) change: String,
}

/// Batch sizes to try for models of images, and for those of numbers alone.
const IMAGE_BATCHES: [usize; 3] = [1, 4, 16];
const NUMBER_BATCHES: [usize; 3] = [64, 512, 4096];

/// Other sizes of each model, and more partitions if the session has fewer than cores.
///
/// # Errors
/// A model whose device is not there.
pub(in crate::advise) fn sizes(trials: &Trials<'_>) -> Result<Vec<(Candidate, Change)>> {
    let cores = Machine::cores();
    let mut candidates = vec![];
    for model in trials.infer.models().filter(|model| is_alone(trials, model)) {
        candidates.extend(sessions(trials, model, cores)?);
        candidates.extend(batches(trials, model)?);
    }
    let wanted = trials.infer.models().filter_map(|model| model.sizing().ok()).map(|sizing| sizing.workers);
    let (workers, wanted) = (trials.infer.workers(), wanted.max().unwrap_or(1).min(cores));
    if workers < wanted {
        let change = Change { partitions: cores, ..trials.unchanged() };
        let candidate = Candidate {
            cause: "partitions",
            finding: format!(
                "target_partitions leaves {} for models that could use {wanted}",
                counted(workers, "worker")
            ),
            evidence: format!("{workers} of {cores} cores could infer"),
            change: format!("SET datafusion.execution.target_partitions = {cores}"),
        };
        candidates.push((candidate, change));
    }
    Ok(candidates)
}

/// Whether `model` runs for itself, not as a member of an ensemble.
pub(in crate::advise) fn is_alone(trials: &Trials<'_>, model: &Arc<Model>) -> bool {
    trials.infer.calls().iter().all(|call| match &call.predictor {
        Predictor::Model(_) | Predictor::Decoder => true,
        Predictor::Ensemble(ensemble) => !ensemble.members().contains(model),
    })
}

fn sessions(trials: &Trials<'_>, model: &Arc<Model>, cores: usize) -> Result<Option<(Candidate, Change)>> {
    let sizing = model.sizing()?;
    let (sessions, threads) = (sizing.sessions, sizing.threads);
    let now = sizing.choice();
    let is_gpu = sizing.decode_threads.is_some();
    let (choice, is) = match (sessions * threads).cmp(&cores) {
        _ if is_gpu => {
            (Choice { concurrency: sessions + sizing.devices, ..now }, "may have too few sessions")
        }
        std::cmp::Ordering::Less => {
            (Choice { concurrency: (cores / threads).max(1), ..now }, "has too few sessions")
        }
        std::cmp::Ordering::Greater => {
            (Choice { concurrency: cores, num_cpus: 1, ..now }, "has too many sessions and threads")
        }
        std::cmp::Ordering::Equal if threads > 1 => {
            (Choice { concurrency: cores, num_cpus: 1, ..now }, "has sessions of several threads")
        }
        std::cmp::Ordering::Equal => return Ok(None),
    };
    let name = &model.spec().name;
    let has = format!("{} of {}", counted(sessions, "session"), counted(threads, "thread"));
    let on = if is_gpu { String::new() } else { format!(" on {}", counted(cores, "core")) };
    let candidate = Candidate {
        cause: "sessions",
        finding: format!("'{name}' {is}: {has}{on}"),
        evidence: String::new(),
        change: recreated(model, &[("concurrency", choice.concurrency), ("num_cpus", choice.num_cpus)]),
    };
    Ok(Some((candidate, trials.with_model(model, &Arc::new(model.with_choice(choice))))))
}

fn batches(trials: &Trials<'_>, model: &Arc<Model>) -> Result<Vec<(Candidate, Change)>> {
    if model.fixed_batch()?.is_some() {
        return Ok(vec![]);
    }
    let sizing = model.sizing()?;
    let now = sizing.choice();
    let name = &model.spec().name;
    let others = if sizing.decode_threads.is_some() {
        vec![now.batch_size * 2, (now.batch_size / 2).max(1)]
    } else if model.spec().image().is_some() {
        IMAGE_BATCHES.to_vec()
    } else {
        NUMBER_BATCHES.to_vec()
    };
    let others = others.into_iter().filter(|batch| *batch != now.batch_size);
    let others = others.map(|batch_size| {
        let is = if batch_size < now.batch_size { "larger" } else { "smaller" };
        let candidate = Candidate {
            cause: "batch",
            finding: format!("batches of {} are {is} than '{name}' likes best", now.batch_size),
            evidence: String::new(),
            change: recreated(model, &[("batch_size", batch_size)]),
        };
        let other = Arc::new(model.with_choice(Choice { batch_size, morsel_rows: None, ..now }));
        (candidate, trials.with_model(model, &other))
    });
    Ok(others.collect())
}

/// The statement that gives `model` other options; `…` stands for those that it was created with and keeps.
fn recreated(model: &Model, options: &[(&str, usize)]) -> String {
    let spec = model.spec();
    let mut given = spec.settings.iter().filter(|setting| setting.source == Source::Options);
    let is_kept = given.any(|setting| options.iter().all(|(name, _)| *name != setting.name));
    let kept = if is_kept { "…, " } else { "" };
    let options = options.iter().map(|(name, value)| format!("{name} '{value}'")).join(", ");
    let (name, file) = (quote_identifier(&spec.name), spec.file.display());
    format!("CREATE OR REPLACE MODEL {name} FROM '{file}' OPTIONS ({kept}{options})")
}
