//! What integers cost in accuracy, beside the time that they save.
//!
//! Rounded weights do little harm once biases are corrected; rounded activations do most of it, and few tensors have the
//! largest part. A tensor stays in float32 only if the nodes on both sides of it do.

use std::collections::{BTreeSet, HashMap};

use super::select::{Selection, data_inputs};
use crate::model::onnx::DocumentGraph;

/// Nodes around a tensor stay in float32 even if agreement is high enough when the tensor's share of the harm exceeds
/// their share of the work by this factor. Typically these are the first convolutions: they see few channels, which
/// integer kernels do not multiply faster.
const OUTSIZED: f64 = 6.0;

/// A tensor, and the nodes that have to be in float32 for it to be.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::quantize) struct Unit {
    /// Outputs of the nodes.
    pub(in crate::quantize) nodes: BTreeSet<String>,
    /// How much the graph's outputs change when only this tensor is rounded.
    pub(in crate::quantize) harm: f64,
    /// What the nodes do for an image, in multiplications.
    pub(in crate::quantize) work: f64,
}

impl Unit {
    /// The nodes of `graph` that compute `tensor` or take it. `work` has that of nodes by their output.
    pub(in crate::quantize) fn new(
        tensor: &str,
        harm: f64,
        graph: &DocumentGraph,
        selection: &Selection,
        work: &HashMap<String, f64>,
    ) -> Self {
        let around = selection.nodes.iter().filter_map(|(position, kind)| {
            let node = &graph.nodes[*position];
            let output = node.outputs.first()?;
            let computed = selection.renamed.get(output).unwrap_or(output);
            let is_around =
                computed == tensor || data_inputs(node, *kind).iter().any(|input| input == tensor);
            is_around.then(|| output.clone())
        });
        let nodes: BTreeSet<_> = around.collect();
        let work = nodes.iter().filter_map(|node| work.get(node)).sum();
        Self { nodes, harm, work }
    }
}

/// Sorts units by their share of the harm in multiples of their share of the work, highest first.
pub(in crate::quantize) fn by_harm(mut units: Vec<Unit>) -> Vec<Unit> {
    let overhead = overhead(&units);
    let gain = |unit: &Unit| unit.harm / (unit.work + overhead).max(f64::MIN_POSITIVE);
    units.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    units
}

/// The work that a unit's time corresponds to, however little it multiplies.
fn overhead(units: &[Unit]) -> f64 {
    units.iter().map(|unit| unit.work).sum::<f64>() / (4 * units.len().max(1)) as f64
}

/// How many of the first `units`, sorted [`by_harm`], have an outsized share of what they and those after them have.
pub(in crate::quantize) fn outsized(units: &[Unit]) -> usize {
    let overhead = overhead(units);
    let is_outsized = |first: &usize| {
        let (unit, rest) = (&units[*first], &units[*first..]);
        let (harm, work) = rest
            .iter()
            .fold((0.0, 0.0), |(harm, work), unit| (harm + unit.harm, work + unit.work + overhead));
        unit.harm * work > OUTSIZED * (unit.work + overhead) * harm
    };
    // At least one unit stays on integers.
    (0..units.len().saturating_sub(1)).take_while(is_outsized).count()
}

/// The squares of the differences between two models' outputs, in relation to the squares of the originals': the sum
/// over outputs.
pub(in crate::quantize) fn difference(originals: &[Vec<Vec<f32>>], others: &[Vec<Vec<f32>>]) -> f64 {
    let outputs = originals.first().map_or(0, Vec::len);
    let of_output = |output: usize| {
        let pairs = originals.iter().zip(others).filter_map(|(a, b)| a.get(output).zip(b.get(output)));
        let (mut differences, mut squares) = (0.0, 0.0);
        for (a, b) in pairs.flat_map(|(a, b)| a.iter().zip(b)) {
            differences += f64::from(a - b).powi(2);
            squares += f64::from(*a).powi(2);
        }
        if squares > 0.0 { differences / squares } else { 0.0 }
    };
    (0..outputs).map(of_output).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, harm: f64, work: f64) -> Unit {
        Unit { nodes: BTreeSet::from([name.to_owned()]), harm, work }
    }

    #[test]
    fn much_harm_for_little_work_comes_first() {
        let units =
            by_harm(vec![unit("large", 2.0, 90.0), unit("small", 1.0, 1.0), unit("harmless", 0.0, 1.0)]);
        let names: Vec<_> = units.iter().flat_map(|unit| &unit.nodes).collect();
        assert_eq!(names, ["small", "large", "harmless"]);
        assert_eq!(outsized(&units), 0);
        let many = |harm| (0..20).map(move |number| unit(&format!("{harm} {number}"), harm, 1.0));
        let mut units: Vec<_> =
            many(1.0).chain([unit("bad", 20.0, 1.0), unit("worst", 1000.0, 1.0)]).collect();
        units = by_harm(units);
        // Beside the worst one alone, no other would matter.
        assert_eq!(outsized(&units), 2);
        assert_eq!(outsized(&units[..1]), 0);
        assert_eq!(outsized(&[]), 0);
    }

    #[test]
    fn outputs_count_alike_whatever_their_size() {
        let originals = [vec![vec![1.0, 1.0], vec![100.0]]];
        let others = [vec![vec![1.0, 2.0], vec![200.0]]];
        assert_eq!(difference(&originals, &others), 1.5);
        assert_eq!(difference(&originals, &originals), 0.0);
    }
}
