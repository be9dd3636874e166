//! Quantizes a model as far as it agrees with its original.

use std::collections::BTreeSet;

use super::attempt::{Attempt, Calibrated, Twin};
use super::graph::dynamic;
use super::graph::harm::{Unit, by_harm, difference, outsized};
use super::graph::rewrite::{activations, round_trip};
use crate::agreement::{Agreement, Prediction, Samples, outputs};
use crate::model::Model;
use crate::{Error, Result};

/// Images that the harm of a single tensor is measured on.
const HARM_IMAGES: usize = 8;

impl Attempt<'_> {
    /// Quantizes as many nodes as agreement allows, except those that would cost much of it and save little time.
    pub(super) fn search(&self, calibrated: &Calibrated<'_>, aside: &Samples) -> Result<Twin> {
        let originals = self.predictions(self.source, aside)?;
        let attempt = |units: &[Unit]| {
            let left_out: BTreeSet<_> = units.iter().flat_map(|unit| &unit.nodes).cloned().collect();
            self.attempt(calibrated, &left_out, aside, &originals)
        };
        if self.options.min_agreement == 0.0 {
            return attempt(&[]);
        }
        let units = self.by_harm(calibrated)?;
        for unit in &units {
            tracing::debug!(
                "{}: harm {:.2e}, work {:.2e}: {:?}",
                self.name,
                unit.harm,
                unit.work,
                unit.nodes
            );
        }
        let least = outsized(&units);
        let first = attempt(&units[..least])?;
        if first.agreement.share >= self.options.min_agreement {
            return Ok(first);
        }
        let (mut too_few, mut best, mut enough) = (0, first.agreement.share, None::<(usize, Twin)>);
        let rest = units.len() - least;
        loop {
            let count = next_count(too_few, enough.as_ref().map(|(count, _)| *count), rest);
            if count == too_few {
                break;
            }
            let next = attempt(&units[..least + count])?;
            if next.agreement.share < self.options.min_agreement {
                (too_few, best) = (count, best.max(next.agreement.share));
            } else {
                enough = Some((count, next));
            }
        }
        enough.map(|(_, twin)| twin).ok_or_else(|| self.disagrees(best, aside.images.len()))
    }

    /// Quantizes products whose inputs need no calibration.
    pub(super) fn without_calibration(&self, aside: &Samples) -> Result<Twin> {
        let products = dynamic::products(&self.document, &self.options.exclude);
        if products.is_empty() {
            return Err(self.error(format!(
                "'{}' has no MatMul or Gemm with constant weights left, which is what calibration 'none' quantizes",
                self.source.spec().name
            )));
        }
        let rewritten =
            dynamic::rewrite_products(&self.document, self.weights_folder(), &products, self.steps());
        let model = self.variant("twin", &rewritten.map_err(|reason| self.error(reason))?)?;
        let originals = self.predictions(self.source, aside)?;
        let agreement =
            Agreement::between(&self.source.spec().task, &originals, &self.predictions(&model, aside)?);
        if agreement.share < self.options.min_agreement {
            return Err(self.error(format!(
                "it agrees with '{}' on {:.1} % of {} images and their mirror images, and {} % are asked for; \
                 exclude '…' leaves nodes in float32",
                self.source.spec().name,
                agreement.share * 100.0,
                aside.images.len(),
                self.options.min_agreement * 100.0
            )));
        }
        let all = self.weighted(&BTreeSet::new()).len();
        Ok(Twin { model, agreement, integer_nodes: [products.len(), all], left_out: vec![] })
    }

    fn disagrees(&self, share: f64, images: usize) -> Error {
        let (share, asked) = (share * 100.0, self.options.min_agreement * 100.0);
        self.error(format!(
            "it agrees with '{}' on {share:.1} % of {images} images and their mirror images at best, however \
             many nodes stay in float32; min_agreement asks for {asked:.1} %",
            self.source.spec().name
        ))
    }

    /// Quantizes all nodes but `left_out`, and compares the result.
    fn attempt(
        &self,
        calibrated: &Calibrated<'_>,
        left_out: &BTreeSet<String>,
        aside: &Samples,
        originals: &[Prediction],
    ) -> Result<Twin> {
        let excluded: BTreeSet<_> = self.options.exclude.union(left_out).cloned().collect();
        // Each attempt has a file of its own, since the best one is not always the last.
        let name = format!("twin-{}", left_out.len());
        let mut document = self.rewritten(calibrated, &excluded)?;
        self.correct_biases(&mut document, calibrated)?;
        let model = self.variant(&name, &document)?;
        let predictions = self.predictions(&model, aside)?;
        let agreement = Agreement::between(&self.source.spec().task, originals, &predictions);
        let (all, on_integers) = (self.weighted(&BTreeSet::new()), self.weighted(&excluded));
        tracing::info!(
            "{}: agreement {:.1} % with {} of {} nodes on integers",
            self.name,
            agreement.share * 100.0,
            on_integers.len(),
            all.len()
        );
        let left_out = all.iter().filter(|node| left_out.contains(*node)).cloned().collect();
        Ok(Twin { model, agreement, integer_nodes: [on_integers.len(), all.len()], left_out })
    }

    /// The tensors that integers represent worst, with the nodes around them, worst first.
    fn by_harm(&self, calibrated: &Calibrated<'_>) -> Result<Vec<Unit>> {
        let few = calibrated.samples.first(HARM_IMAGES);
        let selection = self.selection(&self.options.exclude);
        let activations = activations(&selection, &calibrated.ranges);
        let names = outputs(self.source.spec());
        let numbers = |model: &Model| {
            self.runner.map(model, &few, &names, |outputs, _| {
                Ok(outputs
                    .iter()
                    .map(|output| output.floats(0).map_or_else(Vec::new, <[f32]>::to_vec))
                    .collect())
            })
        };
        let originals: Vec<Vec<Vec<f32>>> = numbers(self.source)?;
        let tensors = selection.tensors.iter().filter(|tensor| !selection.same_scale.contains_key(*tensor));
        tracing::info!("{}: quantizing each tensor by itself, to find the most harmful", self.name);
        let units = tensors.filter(|tensor| activations.contains_key(*tensor)).map(|tensor| {
            let model = self.variant("alone", &round_trip(&self.document, tensor, &activations))?;
            let harm = difference(&originals, &numbers(&model)?);
            Ok(Unit::new(tensor, harm, &self.document.graph, &selection, &calibrated.work))
        });
        Ok(by_harm(units.collect::<Result<_>>()?))
    }
}

/// How many of `all` units to leave out next, as few as possible: doubled until it is enough, then halved the distance
/// to the last that was not. `too_few` if there is no other number to try; one unit at least stays on integers.
fn next_count(too_few: usize, enough: Option<usize>, all: usize) -> usize {
    match enough {
        None => (too_few * 2).max(1).min(all.saturating_sub(1)),
        Some(enough) => too_few.midpoint(enough),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers tried if `enough` nodes have to be left out of `all`.
    fn tried(enough: usize, all: usize) -> Vec<usize> {
        let (mut too_few, mut best, mut tried) = (0, None, vec![]);
        loop {
            let count = next_count(too_few, best, all);
            if count == too_few {
                return tried;
            }
            tried.push(count);
            if count < enough { too_few = count } else { best = Some(count) }
        }
    }

    #[test]
    fn few_nodes_are_left_out_and_never_all() {
        assert_eq!(tried(6, 50), [1, 2, 4, 8, 6, 5]);
        assert_eq!(tried(1, 50), [1]);
        assert_eq!(tried(50, 11), [1, 2, 4, 8, 10]);
        assert!(tried(1, 1).is_empty());
        assert!(tried(1, 0).is_empty());
    }
}
