//! A model has a quantized twin that is not used.

use std::sync::Arc;

use super::sizes::{Candidate, is_alone};
use crate::advise::evidence::{Case, Change, Trials};
use crate::quantize::Record;

/// The registered twins of each model, with what they agreed on when they were made.
pub(in crate::advise) fn twins(case: &Case<'_>, trials: &Trials<'_>) -> Vec<(Candidate, Change)> {
    let mut candidates = vec![];
    for model in trials.infer.models().filter(|model| is_alone(trials, model)) {
        for twin in case.models.names() {
            let Ok(other) = case.models.get(&twin) else { continue };
            let Some(record) = Record::beside(&other.spec().file) else { continue };
            if !record.is_of(model.spec()) {
                continue;
            }
            let name = &model.spec().name;
            let candidate = Candidate {
                cause: "twin",
                finding: format!("'{twin}' is '{name}' in 8-bit integers, and is not used"),
                evidence: record.summary(),
                change: format!("name '{twin}' in the place of '{name}'; predictions differ a little"),
            };
            candidates.push((candidate, trials.with_model(model, &Arc::clone(&other))));
        }
    }
    candidates
}
