//! Makes the channels of a tensor alike in size, since all of them share one scale.
//!
//! A channel of small numbers beside one of large numbers gets few of the 256 levels. Multiplying a channel where it is
//! computed, and dividing the weights that see it by the same number, changes nothing in float32, if all nodes in
//! between commute with that (Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction",
//! 2019):
//!
//! ```text
//!  Conv, rows × s ─► tensor × s ─┬─► Add ─► tensor × s ─► Conv, columns ÷ s
//!  Conv, rows × s ─► tensor × s ─┘
//! ```
//!
//! Such are the narrow tensors between the blocks of a `MobileNet`, which have no activation. `Clip` does not commute.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::bias::add_reduced;
use super::select::Nodes;
use crate::model::onnx::{Document, DocumentGraph, DocumentNode, TensorProto, data_type, floats};

/// Nodes that give a multiple of their result for that multiple of their inputs.
const COMMUTING: [&str; 5] = ["Add", "Relu", "LeakyRelu", "MaxPool", "AveragePool"];

/// Most that a channel is multiplied by.
const MOST: f32 = 16.0;

/// Prefix of the names that are added to a graph.
const PREFIX: &str = "seequel_largest";

/// Tensors whose channels have to be multiplied by the same numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::quantize) struct Group {
    pub(in crate::quantize) tensors: BTreeSet<String>,
    /// Outputs of the `Conv` nodes that compute them.
    producers: Vec<String>,
    /// Outputs of the `Conv` nodes that take them.
    consumers: Vec<String>,
    /// Of the tensors.
    rank: usize,
    channels: usize,
}

/// The groups of a graph.
pub(in crate::quantize) fn groups(graph: &DocumentGraph) -> Vec<Group> {
    let nodes = Nodes::of(graph);
    let mut sets = Sets::default();
    let mut fixed: BTreeSet<&str> = BTreeSet::new();
    let mut convolutions = vec![];
    let (inputs, outputs) = (graph.input_names(), graph.output_names());
    fixed.extend(inputs.iter().chain(&outputs).map(String::as_str));
    for node in &graph.nodes {
        let data = node.inputs.iter().filter(|input| !nodes.initializers.contains_key(*input));
        let tensors: Vec<&str> = data.chain(&node.outputs).map(String::as_str).collect();
        if let Some(dims) = convolution(&nodes, node) {
            convolutions.push((node, dims));
        } else if commutes(&nodes, node) {
            tensors.iter().skip(1).for_each(|tensor| sets.join(tensors[0], tensor));
        } else {
            fixed.extend(tensors);
        }
    }
    let fixed: BTreeSet<usize> = fixed.into_iter().map(|tensor| sets.find(tensor)).collect();
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    let mut channels: HashMap<usize, BTreeSet<i64>> = HashMap::new();
    for (node, dims) in &convolutions {
        let (output, input) = (sets.find(&node.outputs[0]), sets.find(&node.inputs[0]));
        channels.entry(output).or_default().insert(dims[0]);
        channels.entry(input).or_default().insert(dims[1].saturating_mul(node.int("group", 1)));
        let producing = groups.entry(output).or_default();
        producing.producers.push(node.outputs[0].clone());
        (producing.rank, producing.channels) = (dims.len(), usize::try_from(dims[0]).unwrap_or(0));
        groups.entry(input).or_default().consumers.push(node.outputs[0].clone());
    }
    for (tensor, set) in sets.all() {
        groups.entry(set).or_default().tensors.insert(tensor);
    }
    let can_scale = |(set, group): &(usize, Group)| {
        let same_channels = channels.get(set).is_some_and(|channels| channels.len() == 1);
        !fixed.contains(set) && same_channels && !group.producers.is_empty() && !group.consumers.is_empty()
    };
    groups.into_iter().filter(can_scale).map(|(_, group)| group).collect()
}

/// The dimensions of the weights of a `Conv` that has them, and its bias, for itself.
fn convolution(nodes: &Nodes<'_>, node: &DocumentNode) -> Option<Vec<i64>> {
    let own = |name: &String| nodes.consumers.get(name.as_str()).is_none_or(|consumers| consumers.len() == 1);
    let is_plain = node.is("Conv") && nodes.is_weighted(node) && node.inputs[1..].iter().all(own);
    if is_plain { nodes.weight_dims(&node.inputs[1]) } else { None }
}

fn commutes(nodes: &Nodes<'_>, node: &DocumentNode) -> bool {
    let has_constants = node.inputs.iter().any(|input| nodes.initializers.contains_key(input));
    COMMUTING.iter().any(|operator| node.is(operator)) && node.outputs.len() == 1 && !has_constants
}

/// Tensors in sets that are joined.
#[derive(Default)]
struct Sets {
    numbers: HashMap<String, usize>,
    parents: Vec<usize>,
}

impl Sets {
    /// The set of a tensor.
    fn find(&mut self, tensor: &str) -> usize {
        let next = self.parents.len();
        let number = *self.numbers.entry(tensor.to_owned()).or_insert(next);
        if number == next {
            self.parents.push(next);
        }
        self.root(number)
    }

    fn root(&self, mut number: usize) -> usize {
        while self.parents[number] != number {
            number = self.parents[number];
        }
        number
    }

    fn join(&mut self, a: &str, b: &str) {
        let (a, b) = (self.find(a), self.find(b));
        self.parents[a.max(b)] = a.min(b);
    }

    fn all(self) -> Vec<(String, usize)> {
        self.numbers.iter().map(|(tensor, number)| (tensor.clone(), self.root(*number))).collect()
    }
}

/// Adds the largest absolute number of each channel of a group's tensors as outputs; returns their names.
pub(in crate::quantize) fn add_largest(document: &mut Document, group: &Group) -> Vec<String> {
    let mut add = |tensor: &String| {
        let absolute = format!("{PREFIX}/{tensor}/absolute");
        document.graph.nodes.push(DocumentNode::new("Abs", &[tensor], &absolute));
        let largest = format!("{PREFIX}/{tensor}");
        add_reduced(document, "ReduceMax", &absolute, group.rank, &largest);
        document.graph.add_output(&largest);
        largest
    };
    group.tensors.iter().map(&mut add).collect()
}

/// Multiplies the channels of a group, whose largest absolute numbers are `largest`.
///
/// Each is brought half the way, by orders of magnitude, to the largest one: the rest of the way would make the weights
/// that see it as unlike as the channels were.
///
/// # Errors
/// A reason: weights that can't be read.
pub(in crate::quantize) fn equalize(
    document: &mut Document,
    folder: &Path,
    group: &Group,
    largest: &[f32],
) -> Result<(), String> {
    let most = largest.iter().copied().fold(0.0, f32::max);
    if largest.len() != group.channels || !most.is_finite() {
        return Ok(());
    }
    let scale = |own: &f32| (most / own.max(f32::MIN_POSITIVE)).sqrt().clamp(1.0, MOST);
    let scales: Vec<f32> = largest.iter().map(scale).collect();
    for output in &group.producers {
        let Some(node) = document.graph.node_of(output).cloned() else { continue };
        for input in node.inputs[1..].iter().filter(|input| !input.is_empty()) {
            change(document, folder, input, |row, number, _| number * scales[row])?;
        }
    }
    for output in &group.consumers {
        let Some(node) = document.graph.node_of(output).cloned() else { continue };
        let parts = usize::try_from(node.int("group", 1)).unwrap_or(1).max(1);
        change(document, folder, &node.inputs[1], |row, number, place| {
            // Each part of the rows sees a part of the channels.
            let channel = row * parts / place.rows * (scales.len() / parts) + place.column;
            number / scales[channel]
        })?;
    }
    Ok(())
}

/// Where a number of a weight is.
struct Place {
    /// Of the weight.
    rows: usize,
    /// Of the number, in its row; the same for all positions of a window.
    column: usize,
}

/// Replaces each number of a weight, given its row and place.
fn change(
    document: &mut Document,
    folder: &Path,
    name: &str,
    change: impl Fn(usize, f32, &Place) -> f32,
) -> Result<(), String> {
    let initializers = document.graph.initializers();
    let encoded = initializers.get(name).ok_or_else(|| format!("'{name}' is no weight"))?;
    let (mut numbers, dims) =
        floats(encoded, folder).map_err(|reason| format!("the weight '{name}': {reason}"))?;
    let rows = dims.first().and_then(|rows| usize::try_from(*rows).ok()).unwrap_or(0).max(1);
    let row_length = (numbers.len() / rows).max(1);
    let columns = dims.get(1).and_then(|columns| usize::try_from(*columns).ok()).unwrap_or(1).max(1);
    for (position, number) in numbers.iter_mut().enumerate() {
        let column = position % row_length / (row_length / columns).max(1);
        *number = change(position / row_length, *number, &Place { rows, column });
    }
    let raw_data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    document.graph.set_initializer(&TensorProto {
        name: name.to_owned(),
        dims,
        data_type: data_type::FLOAT,
        raw_data: raw_data.into(),
        ..TensorProto::default()
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Onnx;

    /// Two convolutions whose sum another two take, the second after a `Clip`.
    fn onnx(last: &str) -> Onnx {
        Onnx::new()
            .input("x", "float32", "batch,2,4,4")
            .constant("w1", &[2, 2, 1, 1], &[1.0, 2.0, 3.0, 4.0])
            .constant("b1", &[2], &[1.0, 1.0])
            .constant("w2", &[2, 2, 1, 1], &[1.0; 4])
            .constant("w3", &[1, 2, 1, 1], &[8.0, 8.0])
            .constant("w4", &[2, 1, 1, 1], &[8.0, 8.0])
            .constant("w5", &[1, 2, 1, 1], &[1.0, 1.0])
            .node("Conv", &["x", "w1", "b1"], "a")
            .node("Conv", &["x", "w2"], "b")
            .node("Add", &["a", "b"], "sum")
            .node("Conv", &["sum", "w3"], "c")
            .node_with("Conv", &["sum", "w4"], "d", &[("group", &[2])])
            .node(last, &["d"], "e")
            .node("Conv", &["e", "w5"], "f")
            .output("c", "float32", "batch,1,4,4")
            .output("f", "float32", "batch,1,4,4")
    }

    fn found(onnx: &Onnx) -> Vec<String> {
        let document = Document::read(onnx.bytes()).unwrap();
        groups(&document.graph).iter().map(|group| Vec::from_iter(group.tensors.clone()).join(" ")).collect()
    }

    #[test]
    fn tensors_that_are_added_up_are_scaled_alike_and_others_only_if_all_around_commutes() {
        assert_eq!(found(&onnx("Clip")), ["a b sum"]);
        assert_eq!(found(&onnx("Relu")), ["a b sum", "d e"]);
        // A result is what it is.
        assert_eq!(found(&onnx("Relu").output("sum", "float32", "batch,2,4,4")), ["d e"]);
        // Weights that two nodes share can't change for one of them.
        let shared = onnx("Clip").node("Conv", &["f", "w3"], "g").output("g", "float32", "batch,2,4,4");
        assert!(found(&shared).is_empty());
    }

    #[test]
    fn the_inverse_is_in_the_weights_that_see_a_channel() {
        let mut document = Document::read(onnx("Clip").bytes()).unwrap();
        let group = groups(&document.graph).remove(0);
        equalize(&mut document, Path::new("."), &group, &[16.0, 1.0]).unwrap();
        let initializers = document.graph.initializers();
        let weight = |name: &str| floats(&initializers[name], Path::new(".")).unwrap().0;
        assert_eq!(weight("w1"), [1.0, 2.0, 12.0, 16.0]);
        assert_eq!(weight("b1"), [1.0, 4.0]);
        assert_eq!(weight("w2"), [1.0, 1.0, 4.0, 4.0]);
        assert_eq!(weight("w3"), [8.0, 2.0]);
        assert_eq!(weight("w4"), [8.0, 2.0]);
        assert_eq!(weight("w5"), [1.0, 1.0]);
        let before = document.bytes();
        equalize(&mut document, Path::new("."), &group, &[f32::INFINITY, 1.0]).unwrap();
        assert_eq!(document.bytes(), before);
    }
}
