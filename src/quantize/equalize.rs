//! Makes channels alike in size, by what they hold on real images.

use super::attempt::Attempt;
use super::graph::bias;
use super::graph::equalize::{add_largest, equalize, groups};
use crate::Result;
use crate::agreement::Samples;

impl Attempt<'_> {
    /// Multiplies the channels of tensors that have no activation of their own; the graph computes the same as before.
    ///
    /// # Errors
    /// Weights that can't be read, a model that can't be run, cancellation.
    pub(super) fn equalize(&mut self, samples: &Samples) -> Result<()> {
        let groups = groups(&self.document.graph);
        let mut document = self.document.clone();
        let outputs: Vec<Vec<String>> =
            groups.iter().map(|group| add_largest(&mut document, group)).collect();
        if outputs.is_empty() {
            return Ok(());
        }
        tracing::info!("{}: making channels alike in {} groups of tensors", self.name, groups.len());
        let model = self.variant("largest", &document)?;
        let images = self.runner.map(&model, samples, &outputs.concat(), |outputs, _| bias::read(outputs))?;
        let folder = self.weights_folder().to_owned();
        let mut first = 0;
        for (group, outputs) in groups.iter().zip(&outputs) {
            let found = images.iter().flat_map(|image| image.iter().skip(first).take(outputs.len()));
            equalize(&mut self.document, &folder, group, &largest(found))
                .map_err(|reason| self.error(reason))?;
            first += outputs.len();
        }
        Ok(())
    }
}

/// The largest number of each channel.
fn largest<'a>(found: impl Iterator<Item = &'a Vec<f32>>) -> Vec<f32> {
    found.fold(vec![], |mut largest, numbers| {
        largest.resize(numbers.len().max(largest.len()), 0.0);
        largest.iter_mut().zip(numbers).for_each(|(largest, number)| *largest = largest.max(*number));
        largest
    })
}
