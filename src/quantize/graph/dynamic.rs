//! Rewrites products with constant weights so that each run finds the range of their other input by itself.
//!
//! ```text
//!  before   x ──────────────────────────► MatMul, Gemm ─────────────────────────────► y
//!
//!  after    x ─ DynamicQuantizeLinear ─┬─► MatMulInteger ─ Cast ─► Mul (─► Add bias) ─► y
//!               int8 weight ───────────┼──┘                        │
//!                                      └─ scale × the weight's ────┘
//! ```
//!
//! These are ONNX's operators for it, which ONNX Runtime fuses. Nothing needs to be calibrated, which suits transformers:
//! their products are most of the work, and the ranges of what they multiply depend much on the input.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::integers::{Steps, Weights};
use super::numbers::{Numbers, Source};
use super::rewrite::PREFIX;
use super::select::Nodes;
use crate::model::onnx::{Document, DocumentNode, TensorProto, data_type};

/// The outputs of the nodes that can be rewritten, except those named in `excluded` by their name or output.
pub(in crate::quantize) fn products(document: &Document, excluded: &BTreeSet<String>) -> Vec<String> {
    let nodes = Nodes::of(&document.graph);
    let is_product = |node: &&DocumentNode| {
        nodes.is_weighted(node)
            && !node.is("Conv")
            && !excluded.contains(&node.name)
            && !excluded.contains(&node.outputs[0])
    };
    document.graph.nodes.iter().filter(is_product).map(|node| node.outputs[0].clone()).collect()
}

/// Rewrites the nodes with the outputs `products`. Weights outside the file are read from `folder`.
///
/// # Errors
/// A reason: weights that can't be read, or aren't finite.
pub(in crate::quantize) fn rewrite_products(
    document: &Document,
    folder: &Path,
    products: &[String],
    steps: Steps,
) -> Result<Document, String> {
    let nodes = Nodes::of(&document.graph);
    let source = Source { nodes: &nodes, folder };
    let mut writer = Writer { steps, written: vec![], initializers: vec![], quantized: HashSet::new() };
    for node in &document.graph.nodes {
        if products.contains(&node.outputs[0]) {
            writer.product(node, &source.numbers_of(node)?)?;
        } else {
            writer.written.push(node.clone());
        }
    }
    let Writer { written, initializers, .. } = writer;
    let mut changed = document.clone();
    changed.graph.nodes = written;
    initializers.iter().for_each(|tensor| changed.graph.add_initializer(tensor));
    changed.graph.remove_unused();
    Ok(changed)
}

struct Writer {
    steps: Steps,
    written: Vec<DocumentNode>,
    initializers: Vec<TensorProto>,
    /// Inputs whose integers are written.
    quantized: HashSet<String>,
}

impl Writer {
    fn product(&mut self, node: &DocumentNode, numbers: &Numbers) -> Result<(), String> {
        let (input, output) = (&node.inputs[0], &node.outputs[0]);
        let has_bias = node.inputs.get(2).is_some_and(|bias| !bias.is_empty());
        let weights = self.weights(node, numbers)?;
        let of_input = |part: &str| format!("{PREFIX}/{input}/{part}");
        let (integers, scale, zero) = (of_input("integers"), of_input("scale"), of_input("zero"));
        if self.quantized.insert(input.clone()) {
            let mut quantize = DocumentNode::new("DynamicQuantizeLinear", &[input], &integers);
            quantize.outputs.extend([scale.clone(), zero.clone()]);
            self.written.push(quantize);
        }
        let name = |part: &str| format!("{PREFIX}/{output}/{part}");
        let (weight, weight_zero, weight_scale) = (name("weight"), name("weight_zero"), name("weight_scale"));
        let channels: &[i64] = if self.steps.per_channel { &weights.dims[1..] } else { &[] };
        let scales = if self.steps.per_channel { &weights.scales } else { &weights.scales[..1] };
        self.add(
            &weight,
            &weights.dims,
            data_type::INT8,
            weights.integers.iter().map(|i| i.cast_unsigned()).collect(),
        );
        self.add(&weight_zero, channels, data_type::INT8, vec![0; scales.len()]);
        self.add(
            &weight_scale,
            channels,
            data_type::FLOAT,
            scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
        );
        let inputs = [integers.as_str(), &weight, &zero, &weight_zero];
        let float = i64::from(data_type::FLOAT);
        self.written.extend([
            DocumentNode::new("MatMulInteger", &inputs, &name("sums")),
            DocumentNode::new("Cast", &[&name("sums")], &name("numbers")).with_int("to", float),
            DocumentNode::new("Mul", &[&scale, &weight_scale], &name("output_scale")),
        ]);
        let scaled = if has_bias { name("scaled") } else { output.clone() };
        self.written.push(DocumentNode::new("Mul", &[&name("numbers"), &name("output_scale")], &scaled));
        if has_bias {
            self.written.push(DocumentNode::new("Add", &[&scaled, &node.inputs[2]], output));
        }
        Ok(())
    }

    /// The weights as integers, in the order of a MatMul: rows, then columns, which are the output channels.
    fn weights(&self, node: &DocumentNode, numbers: &Numbers) -> Result<Weights, String> {
        let [first, second] = *numbers.dims.as_slice() else {
            return Err(format!("the weight '{}' is no matrix", node.inputs[1]));
        };
        let (rows, columns, values) = if node.int("transB", 0) == 1 {
            (second, first, transposed(&numbers.weight, first, second))
        } else {
            (first, second, numbers.weight.clone())
        };
        let partners = numbers.partners(self.steps);
        Weights::of(&values, &[rows, columns], 1, None, &partners, self.steps.per_channel)
            .ok_or_else(|| format!("the weight '{}' has numbers that are not finite", node.inputs[1]))
    }

    fn add(&mut self, name: &str, dims: &[i64], element: i32, raw: Vec<u8>) {
        self.initializers.push(TensorProto::of_bytes(name, dims, element, raw));
    }
}

/// A matrix of `rows` × `columns` with both exchanged.
fn transposed(values: &[f32], rows: i64, columns: i64) -> Vec<f32> {
    let (rows, columns) = (usize::try_from(rows).unwrap_or(0), usize::try_from(columns).unwrap_or(0));
    (0..columns)
        .flat_map(|column| (0..rows).filter_map(move |row| values.get(row * columns + column).copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_exchanged() {
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
