//! Rewrites a graph so that the selected nodes compute on integers.
//!
//! ```text
//!  before   x ──────────────────────► Conv ─► c ─► Clip ─► y ─────────────► …
//!                      weight, bias ──┘
//!
//!  after    x ─ Q ─ DQ ─────────────► Conv ──────────────► y ─ Q ─ DQ ────► …
//!        int8 weight, int32 bias ─ DQ ┘
//! ```
//!
//! Q and DQ are ONNX's `QuantizeLinear` and `DequantizeLinear`; a provider fuses them with the nodes between them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::integers::{Activation, Range, Steps, Weights};
use super::numbers::Source;
use super::select::{Kind, Nodes, Selection, data_inputs};
use crate::model::onnx::{Document, DocumentNode, TensorProto, data_type};

/// Prefix of the names of new tensors.
pub(super) const PREFIX: &str = "seequel_int8";

/// Rewrites the nodes of `selection`, where `activations` have all their tensors. Those that are not in `weights`, by the
/// output of their node, are rounded to the nearest integers. Weights outside the file are read from `folder`.
///
/// # Errors
/// A reason: weights that can't be read.
pub(in crate::quantize) fn rewrite(
    document: &Document,
    folder: &Path,
    selection: &Selection,
    activations: &Activations,
    weights: &HashMap<String, Weights>,
    steps: Steps,
) -> Result<Document, String> {
    let graph = &document.graph;
    let nodes = Nodes::of(graph);
    let mut writer = Writer {
        source: Source { nodes: &nodes, folder },
        activations,
        weights,
        steps,
        written: Vec::with_capacity(graph.nodes.len() * 3),
        initializers: vec![],
        inside: HashSet::new(),
        done: HashSet::new(),
    };
    let produced: HashSet<&str> =
        graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str).collect();
    for tensor in selection.tensors.iter().filter(|tensor| !produced.contains(tensor.as_str())) {
        writer.convert(tensor);
    }
    for (position, node) in graph.nodes.iter().enumerate() {
        // The node before computes its output already, if it is on integers.
        if selection.absorbed.contains(&position) && writer.inside.contains(&node.outputs[0]) {
            continue;
        }
        writer.write(node, selection.nodes.get(&position).copied(), selection)?;
    }
    let Writer { written, initializers, .. } = writer;
    let mut document = document.clone();
    let graph = &mut document.graph;
    graph.nodes = written;
    initializers.iter().for_each(|tensor| graph.add_initializer(tensor));
    graph.remove_unused();
    Ok(document)
}

/// Converts one tensor to integers and back, and nothing else.
pub(in crate::quantize) fn round_trip(
    document: &Document,
    tensor: &str,
    activations: &Activations,
) -> Document {
    let (nodes, weights) = (Nodes::of(&document.graph), HashMap::new());
    let mut writer = Writer {
        source: Source { nodes: &nodes, folder: Path::new(".") },
        activations,
        weights: &weights,
        steps: Steps { per_channel: false, adds_pairs: false },
        written: vec![],
        initializers: vec![],
        inside: HashSet::new(),
        done: HashSet::new(),
    };
    writer.convert(tensor);
    let Writer { mut written, initializers, .. } = writer;
    let mut changed = document.clone();
    let graph = &mut changed.graph;
    let inputs = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    inputs.filter(|input| *input == tensor).for_each(|input| *input = dequantized(tensor));
    let produced = graph.nodes.iter().position(|node| node.outputs.iter().any(|output| output == tensor));
    let next = produced.map_or(0, |position| position + 1);
    graph.nodes.splice(next..next, written.drain(..));
    initializers.iter().for_each(|tensor| graph.add_initializer(tensor));
    changed
}

/// The conversion of each tensor by its name.
pub(in crate::quantize) type Activations = HashMap<String, Activation>;

/// The conversion of each tensor, where its range is finite.
pub(in crate::quantize) fn activations(
    selection: &Selection,
    ranges: &HashMap<String, Range>,
) -> Activations {
    let mut activations = HashMap::new();
    for tensor in &selection.tensors {
        let same = selection.same_scale.get(tensor).and_then(|source| activations.get(source)).copied();
        let own = || ranges.get(tensor).copied().and_then(Activation::of);
        if let Some(activation) = same.or_else(own) {
            activations.insert(tensor.clone(), activation);
        }
    }
    activations
}

struct Writer<'a> {
    source: Source<'a>,
    activations: &'a Activations,
    weights: &'a HashMap<String, Weights>,
    steps: Steps,
    written: Vec<DocumentNode>,
    initializers: Vec<TensorProto>,
    /// Outputs of nodes that compute on integers.
    inside: HashSet<String>,
    /// Tensors whose conversion is written.
    done: HashSet<String>,
}

impl Writer<'_> {
    /// Writes a node, on integers if it has a kind and all of its tensors can be converted.
    fn write(
        &mut self,
        node: &DocumentNode,
        kind: Option<Kind>,
        selection: &Selection,
    ) -> Result<(), String> {
        let mut node = node.clone();
        let is_integer = match kind {
            Some(kind) if self.can_convert(&node, kind, selection) => match kind {
                Kind::Weighted => self.convert_weights(&mut node)?,
                Kind::Weightless | Kind::Rearranging => true,
            },
            _ => false,
        };
        let data = kind.map_or(0, |kind| data_inputs(&node, kind).len());
        for (position, input) in node.inputs.iter_mut().enumerate() {
            let from_integers = self.inside.contains(input.as_str());
            if from_integers || is_integer && position < data && self.done.contains(input.as_str()) {
                *input = dequantized(input);
            }
        }
        if !is_integer && (node.is("Conv") || node.is("Gemm")) {
            self.keep_float(&mut node);
        }
        if is_integer && let Some(activated) = selection.renamed.get(&node.outputs[0]) {
            node.outputs[0].clone_from(activated);
        }
        let outputs = node.outputs.clone();
        self.written.push(node);
        for output in outputs {
            if selection.tensors.contains(&output) && self.activations.contains_key(&output) {
                self.convert(&output);
                if is_integer {
                    self.inside.insert(output);
                }
            }
        }
        Ok(())
    }

    fn can_convert(&self, node: &DocumentNode, kind: Kind, selection: &Selection) -> bool {
        let output = &node.outputs[0];
        let output = selection.renamed.get(output).unwrap_or(output);
        data_inputs(node, kind).iter().all(|input| self.activations.contains_key(input))
            && (self.source.nodes.outputs.contains(output) || self.activations.contains_key(output))
    }

    /// Gives a node that stays in float32 an input whose scale is repeated for each channel. ONNX Runtime would
    /// otherwise quantize its weights itself where integers come before and after it, with one scale for all channels
    /// (its transformer `WeightBiasQuantization`).
    fn keep_float(&mut self, node: &mut DocumentNode) {
        let (prefix, suffix) = (format!("{PREFIX}/"), "/numbers");
        let tensor = node.inputs[0].strip_prefix(&prefix).and_then(|name| name.strip_suffix(suffix));
        let Some(tensor) = tensor.map(str::to_owned) else { return };
        let Some(activation) = self.activations.get(&tensor).copied() else { return };
        let dims = self.source.nodes.weight_dims(&node.inputs[1]);
        let channels = match dims.as_deref() {
            Some([_, channels, _, ..]) => channels * node.int("group", 1),
            Some([_, columns]) if node.int("transB", 0) == 1 => *columns,
            Some([rows, _]) => *rows,
            _ => return,
        };
        let Ok(count) = usize::try_from(channels) else { return };
        let name = |part: &str| format!("{PREFIX}/{tensor}/by_channel/{part}");
        let (integers, numbers) = (format!("{PREFIX}/{tensor}/integers"), name("numbers"));
        if self.done.insert(numbers.clone()) {
            let scales = activation.scale.to_le_bytes().repeat(count);
            self.add(&name("scale"), &[channels], data_type::FLOAT, scales);
            self.add(&name("zero"), &[channels], data_type::UINT8, vec![activation.zero; count]);
            let inputs = [integers.as_str(), &name("scale"), &name("zero")];
            self.written.push(DocumentNode::new("DequantizeLinear", &inputs, &numbers).with_int("axis", 1));
        }
        node.inputs[0] = numbers;
    }

    /// Converts `tensor` to integers and back.
    fn convert(&mut self, tensor: &str) {
        let Some(activation) = self.activations.get(tensor).copied() else { return };
        if !self.done.insert(tensor.to_owned()) {
            return;
        }
        let name = |part: &str| format!("{PREFIX}/{tensor}/{part}");
        let (scale, zero, integers) = (name("scale"), name("zero"), name("integers"));
        self.add(&scale, &[], data_type::FLOAT, activation.scale.to_le_bytes().to_vec());
        self.add(&zero, &[], data_type::UINT8, vec![activation.zero]);
        self.written.push(DocumentNode::new("QuantizeLinear", &[tensor, &scale, &zero], &integers));
        let back = dequantized(tensor);
        self.written.push(DocumentNode::new("DequantizeLinear", &[&integers, &scale, &zero], &back));
    }

    /// Replaces the weight and bias of `node` by integers; returns whether its numbers allow that.
    fn convert_weights(&mut self, node: &mut DocumentNode) -> Result<bool, String> {
        let Some(input) = self.activations.get(&node.inputs[0]).copied() else { return Ok(false) };
        let numbers = self.source.numbers_of(node)?;
        let known = self.weights.get(&node.outputs[0]).cloned();
        let Some(weights) = known.or_else(|| numbers.round(input, self.steps)) else { return Ok(false) };
        let output = node.outputs[0].clone();
        let name = |part: &str| format!("{PREFIX}/{output}/{part}");
        let integers: Vec<u8> = weights.integers.iter().map(|integer| integer.cast_unsigned()).collect();
        let shape: Vec<i64> = weights.dims.clone();
        let back = (name("weight"), name("weight_integers"));
        self.add(&back.1, &shape, data_type::INT8, integers);
        self.dequantize(&back, data_type::INT8, &weights.scales, weights.axis);
        node.inputs[1] = back.0;
        if let Some(bias) = &numbers.bias {
            let integers = weights.bias(bias, input).into_iter().flat_map(i32::to_le_bytes).collect();
            let scales: Vec<f32> = weights.scales.iter().map(|scale| scale * input.scale).collect();
            let back = (name("bias"), bias_integers(&output));
            self.add(&back.1, &[bias.len() as i64], data_type::INT32, integers);
            self.dequantize(&back, data_type::INT32, &scales, 0);
            node.inputs.truncate(2);
            node.inputs.push(back.0);
        }
        Ok(true)
    }

    /// Writes the node that turns constant integers into numbers: `to` and `from` are their names.
    fn dequantize(&mut self, (to, from): &(String, String), element: i32, scales: &[f32], axis: usize) {
        let (scale, zero) = (format!("{from}/scale"), format!("{from}/zero"));
        let scales = if self.steps.per_channel { scales } else { &scales[..1] };
        let dims: &[i64] = if self.steps.per_channel { &[scales.len() as i64] } else { &[] };
        self.add(
            &scale,
            dims,
            data_type::FLOAT,
            scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
        );
        let bytes = if element == data_type::INT8 { 1 } else { 4 };
        self.add(&zero, dims, element, vec![0; scales.len() * bytes]);
        let mut node = DocumentNode::new("DequantizeLinear", &[from, &scale, &zero], to);
        if self.steps.per_channel {
            node = node.with_int("axis", axis as i64);
        }
        self.written.push(node);
    }

    fn add(&mut self, name: &str, dims: &[i64], element: i32, raw: Vec<u8>) {
        self.initializers.push(TensorProto::of_bytes(name, dims, element, raw));
    }
}

/// The name of the integers of the bias of the node with this output.
pub(in crate::quantize) fn bias_integers(output: &str) -> String {
    format!("{PREFIX}/{output}/bias_integers")
}

/// The name of the scales of these integers.
pub(in crate::quantize) fn bias_scales(output: &str) -> String {
    format!("{}/scale", bias_integers(output))
}

fn dequantized(tensor: &str) -> String {
    format!("{PREFIX}/{tensor}/numbers")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Onnx;

    /// Two convolutions, the first with an activation, and a pooling that is the result.
    fn document() -> Document {
        let onnx = Onnx::new()
            .input("x", "float32", "batch,1,4,4")
            .constant("w", &[1, 1, 1, 1], &[1.27])
            .constant("b", &[1], &[0.5])
            .constant("low", &[], &[0.0])
            .constant("high", &[], &[6.0])
            .node("Conv", &["x", "w", "b"], "c")
            .node("Clip", &["c", "low", "high"], "y")
            .node("Conv", &["y", "w"], "z")
            .node("GlobalAveragePool", &["z"], "out")
            .output("out", "float32", "batch,1,1,1");
        Document::read(onnx.bytes()).unwrap()
    }

    /// The nodes after rewriting, without the new names' prefix.
    fn rewritten(excluded: &[&str], ranges: &[(&str, f32, f32)]) -> String {
        let document = document();
        let excluded: BTreeSet<_> = excluded.iter().map(|name| (*name).to_owned()).collect();
        let selection = Selection::new(&Nodes::of(&document.graph), &excluded);
        let ranges =
            ranges.iter().map(|(name, low, high)| ((*name).to_owned(), Range { low: *low, high: *high }));
        let steps = Steps { per_channel: true, adds_pairs: false };
        let activations = activations(&selection, &ranges.collect());
        let rewritten =
            rewrite(&document, Path::new("."), &selection, &activations, &HashMap::new(), steps).unwrap();
        let nodes = rewritten.graph.nodes.iter();
        let lines =
            nodes.map(|node| format!("{} = {}({})", node.outputs[0], node.operator, node.inputs.join(", ")));
        lines.collect::<Vec<_>>().join("\n").replace(&format!("{PREFIX}/"), "")
    }

    const RANGES: [(&str, f32, f32); 3] = [("x", -1.0, 1.0), ("y", 0.0, 6.0), ("z", 0.0, 9.0)];

    #[test]
    fn convolutions_are_between_conversions_and_activations_are_absorbed() {
        insta::assert_snapshot!(rewritten(&[], &RANGES), @r"
        x/integers = QuantizeLinear(x, x/scale, x/zero)
        x/numbers = DequantizeLinear(x/integers, x/scale, x/zero)
        c/weight = DequantizeLinear(c/weight_integers, c/weight_integers/scale, c/weight_integers/zero)
        c/bias = DequantizeLinear(c/bias_integers, c/bias_integers/scale, c/bias_integers/zero)
        y = Conv(x/numbers, c/weight, c/bias)
        y/integers = QuantizeLinear(y, y/scale, y/zero)
        y/numbers = DequantizeLinear(y/integers, y/scale, y/zero)
        z/weight = DequantizeLinear(z/weight_integers, z/weight_integers/scale, z/weight_integers/zero)
        z/bias = DequantizeLinear(z/bias_integers, z/bias_integers/scale, z/bias_integers/zero)
        z = Conv(y/numbers, z/weight, z/bias)
        z/integers = QuantizeLinear(z, z/scale, z/zero)
        z/numbers = DequantizeLinear(z/integers, z/scale, z/zero)
        out = GlobalAveragePool(z/numbers)
        ");
    }

    #[test]
    fn excluded_nodes_keep_their_weights_and_activations() {
        insta::assert_snapshot!(rewritten(&["c"], &RANGES), @r"
        c = Conv(x, w, b)
        y = Clip(c, low, high)
        y/integers = QuantizeLinear(y, y/scale, y/zero)
        y/numbers = DequantizeLinear(y/integers, y/scale, y/zero)
        z/weight = DequantizeLinear(z/weight_integers, z/weight_integers/scale, z/weight_integers/zero)
        z/bias = DequantizeLinear(z/bias_integers, z/bias_integers/scale, z/bias_integers/zero)
        z = Conv(y/numbers, z/weight, z/bias)
        z/integers = QuantizeLinear(z, z/scale, z/zero)
        z/numbers = DequantizeLinear(z/integers, z/scale, z/zero)
        out = GlobalAveragePool(z/numbers)
        ");
    }

    #[test]
    fn a_node_between_integers_has_a_scale_for_each_channel_of_its_input() {
        // ONNX Runtime would quantize its weights otherwise.
        let nodes = rewritten(&["z"], &RANGES);
        let float = "y/by_channel/numbers = DequantizeLinear(y/integers, y/by_channel/scale, y/by_channel/zero)\n\
                     z = Conv(y/by_channel/numbers, w)";
        assert!(nodes.contains("y/integers = QuantizeLinear(y, y/scale, y/zero)"), "{nodes}");
        assert!(nodes.contains(float), "{nodes}");
    }

    #[test]
    fn a_node_whose_range_is_not_finite_stays_in_float32() {
        let ranges = [RANGES[0], ("y", 0.0, f32::INFINITY), RANGES[2]];
        let nodes = rewritten(&[], &ranges);
        assert!(nodes.contains("c = Conv(x, w, b)\ny = Clip(c, low, high)\nz = Conv(y, w)"), "{nodes}");
    }
}
