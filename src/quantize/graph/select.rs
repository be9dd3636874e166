//! Which nodes of a graph compute on integers, and which tensors that needs.
//!
//! | nodes | condition |
//! |---|---|
//! | `Conv`, `Gemm`, `MatMul` | constant weights of float32, and not excluded |
//! | `Add`, `Mul`, `AveragePool`, `Concat`, `LeakyRelu`, `Sigmoid` | all inputs are computed on integers |
//! | `MaxPool`, `Reshape`, `Flatten`, `Transpose`, … | the input is; the output has the same scale |
//! | `Relu`, `Clip` after one of the first two | absorbed: integers saturate where it would |
//!
//! Weighted nodes pay for the conversion of their input; the others only save one. `GlobalAveragePool` stays in float32,
//! which costs little: embeddings would lose precision.
//!
//! ONNX Runtime fuses each node with the conversions around it, its QDQ groups, into one integer kernel.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message;

use crate::model::onnx::{Constant, DocumentGraph, DocumentNode, TensorOutline, data_type};

/// Nodes whose output has the values of its first input, rearranged.
const REARRANGING: [&str; 6] = ["MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"];

/// Nodes with integer kernels and no weights.
const WEIGHTLESS: [&str; 6] = ["Add", "Mul", "AveragePool", "Concat", "LeakyRelu", "Sigmoid"];

/// What a node is for integer arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::quantize) enum Kind {
    /// Multiplies by constant weights, its second input.
    Weighted,
    /// Computes on its inputs alone.
    Weightless,
    /// Keeps the values and thus the scale of its first input.
    Rearranging,
}

/// The nodes of a graph that compute on integers.
#[derive(Debug)]
pub(in crate::quantize) struct Selection {
    /// By position in the graph.
    pub(in crate::quantize) nodes: HashMap<usize, Kind>,
    /// Positions of `Relu` and `Clip` nodes that are left out; the node before computes their output.
    pub(in crate::quantize) absorbed: BTreeSet<usize>,
    /// For the output of each node before an absorbed one, the output that takes its place.
    pub(in crate::quantize) renamed: HashMap<String, String>,
    /// Tensors that are quantized, in the order of the graph.
    pub(in crate::quantize) tensors: Vec<String>,
    /// For each output of a rearranging node, its input.
    pub(in crate::quantize) same_scale: HashMap<String, String>,
}

/// A graph with what the selection asks about it.
pub(in crate::quantize) struct Nodes<'a> {
    graph: &'a DocumentGraph,
    pub(in crate::quantize) initializers: HashMap<String, Bytes>,
    pub(in crate::quantize) outputs: BTreeSet<String>,
    /// For each tensor, the positions of the nodes that take it.
    pub(in crate::quantize) consumers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Nodes<'a> {
    pub(in crate::quantize) fn of(graph: &'a DocumentGraph) -> Self {
        let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (position, node) in graph.nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|input| !input.is_empty()) {
                consumers.entry(input).or_default().push(position);
            }
        }
        Self { graph, initializers: graph.initializers(), outputs: graph.output_names(), consumers }
    }

    /// The dimensions of a weight of float32.
    pub(in crate::quantize) fn weight_dims(&self, name: &str) -> Option<Vec<i64>> {
        let outline = TensorOutline::decode(self.initializers.get(name)?.clone()).ok()?;
        (outline.data_type == data_type::FLOAT).then_some(outline.dims)
    }

    fn is_constant(&self, name: &str) -> bool {
        self.initializers.contains_key(name)
    }

    /// Whether a node multiplies by weights that can be integers.
    pub(in crate::quantize) fn is_weighted(&self, node: &DocumentNode) -> bool {
        let [data, weight, rest @ ..] = node.inputs.as_slice() else { return false };
        let Some(dims) = self.weight_dims(weight) else { return false };
        let has_bias = match rest {
            [] => true,
            [bias] => bias.is_empty() || self.weight_dims(bias).is_some_and(|dims| dims.len() == 1),
            _ => false,
        };
        let fits = if node.is("Conv") {
            dims.len() >= 3
        } else if node.is("Gemm") {
            let plain = node.int("transA", 0) == 0 && node.float("alpha", 1.0) == 1.0;
            dims.len() == 2 && plain && node.float("beta", 1.0) == 1.0
        } else {
            node.is("MatMul") && dims.len() == 2
        };
        fits && has_bias && !self.is_constant(data)
    }

    /// The position of the `Relu` or `Clip` that alone takes `tensor`, if saturation at the ends of a range that
    /// includes zero has the same effect.
    fn activation_of(&self, tensor: &str) -> Option<usize> {
        let [position] = self.consumers.get(tensor)?.as_slice() else { return None };
        let node = &self.graph.nodes[*position];
        let output = node.outputs.first()?;
        if self.outputs.contains(tensor) || self.outputs.contains(output) {
            return None;
        }
        let is_activation = node.is("Relu") || node.is("Clip") && self.clips_around_zero(node);
        is_activation.then_some(*position)
    }

    fn clips_around_zero(&self, node: &DocumentNode) -> bool {
        let bound = |input: usize, attribute: &str, default: f64| match node.inputs.get(input) {
            Some(name) if !name.is_empty() => {
                let constant = self.initializers.get(name).and_then(Constant::of_initializer);
                constant.and_then(|constant| constant.numbers.first().copied())
            }
            _ => Some(f64::from(node.float(attribute, default as f32))),
        };
        let low = bound(1, "min", f64::NEG_INFINITY);
        let high = bound(2, "max", f64::INFINITY);
        low.is_some_and(|low| low <= 0.0) && high.is_some_and(|high| high > 0.0)
    }
}

impl Selection {
    /// Selects the nodes of `graph`, except those named in `excluded` by their name or their output.
    pub(in crate::quantize) fn new(nodes: &Nodes<'_>, excluded: &BTreeSet<String>) -> Self {
        let mut selection = Self {
            nodes: HashMap::new(),
            absorbed: BTreeSet::new(),
            renamed: HashMap::new(),
            tensors: Vec::new(),
            same_scale: HashMap::new(),
        };
        let mut on_integers: BTreeSet<String> = BTreeSet::new();
        for (position, node) in nodes.graph.nodes.iter().enumerate() {
            let is_excluded = excluded.contains(&node.name)
                || node.outputs.first().is_some_and(|output| excluded.contains(output));
            if is_excluded || selection.absorbed.contains(&position) {
                continue;
            }
            if let Some(kind) = kind(nodes, node, &on_integers) {
                selection.add(nodes, position, kind, &mut on_integers);
            }
        }
        selection
    }

    /// The outputs of its nodes with weights, in the order of the graph.
    pub(in crate::quantize) fn weighted(&self, graph: &DocumentGraph) -> Vec<String> {
        let weighted = self.nodes.iter().filter(|(_, kind)| **kind == Kind::Weighted);
        let mut positions: Vec<_> = weighted.map(|(position, _)| *position).collect();
        positions.sort_unstable();
        positions.into_iter().map(|position| graph.nodes[position].outputs[0].clone()).collect()
    }

    fn add(&mut self, nodes: &Nodes<'_>, position: usize, kind: Kind, on_integers: &mut BTreeSet<String>) {
        let node = &nodes.graph.nodes[position];
        let output = &node.outputs[0];
        for input in data_inputs(node, kind) {
            self.add_tensor(input);
        }
        self.nodes.insert(position, kind);
        if nodes.outputs.contains(output) {
            // Results stay in float32.
            return;
        }
        let activation = if kind == Kind::Rearranging { None } else { nodes.activation_of(output) };
        let output = match activation {
            Some(activation) => {
                let activated = nodes.graph.nodes[activation].outputs[0].clone();
                self.absorbed.insert(activation);
                self.renamed.insert(output.clone(), activated.clone());
                activated
            }
            None => output.clone(),
        };
        if kind == Kind::Rearranging {
            self.same_scale.insert(output.clone(), node.inputs[0].clone());
        }
        self.add_tensor(&output);
        on_integers.insert(output);
    }

    fn add_tensor(&mut self, name: &str) {
        if !self.tensors.iter().any(|known| known == name) {
            self.tensors.push(name.to_owned());
        }
    }
}

/// What `node` is, if it can compute on integers.
fn kind(nodes: &Nodes<'_>, node: &DocumentNode, on_integers: &BTreeSet<String>) -> Option<Kind> {
    let is_result = nodes.outputs.contains(node.outputs.first()?);
    let is_ready = |input: &String| on_integers.contains(input);
    if nodes.is_weighted(node) {
        // Only these have kernels from integers to float32.
        return (!is_result || node.is("Gemm") || node.is("MatMul")).then_some(Kind::Weighted);
    }
    let is_one_of = |operators: &[&str]| operators.iter().any(|operator| node.is(operator));
    if is_result || node.outputs.len() != 1 {
        None
    } else if is_one_of(&WEIGHTLESS) {
        node.inputs.iter().all(is_ready).then_some(Kind::Weightless)
    } else if is_one_of(&REARRANGING) {
        node.inputs.first().is_some_and(is_ready).then_some(Kind::Rearranging)
    } else {
        None
    }
}

/// The inputs of a node that are neither weights nor shapes.
pub(in crate::quantize) fn data_inputs(node: &DocumentNode, kind: Kind) -> &[String] {
    match kind {
        Kind::Weighted | Kind::Rearranging => &node.inputs[..1],
        Kind::Weightless => &node.inputs,
    }
}
