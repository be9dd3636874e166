//! Outline of an ONNX file: its inputs and outputs, the operators that compute them, and small constants. Nothing is
//! run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use super::constant::Constant;
use super::port::Port;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorOutline};

/// Operators that change at most the shape or type of their input.
const TRANSPARENT: [&str; 6] = ["Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"];

/// Prefix of a Git LFS pointer, a text file in place of a large file that is not fetched yet.
const GIT_LFS_POINTER: &[u8] = b"version https://git-lfs";

/// The outline of an ONNX graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Tensors that every run takes.
    pub inputs: Vec<Port>,
    /// Tensors that a run returns.
    pub outputs: Vec<Port>,
    /// External weight files, as paths relative to the model's folder.
    pub(crate) weight_files: BTreeSet<String>,
    /// Bytes of weights that a run multiplies with one row for each row of the batch: those of `Gemm`.
    pub(crate) dense_bytes: u64,
    nodes: Vec<Node>,
    /// For each tensor, the position of the node that computes it.
    producers: HashMap<String, usize>,
    /// Small tensors of the file, by name.
    constants: HashMap<String, Constant>,
    /// The exporter's notes.
    metadata: BTreeMap<String, String>,
}

/// An operator of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its name; of another domain than ONNX's, as in `com.microsoft::Gelu`.
    pub(crate) operator: String,
    /// Names of the tensors it takes.
    pub(crate) inputs: Vec<String>,
    /// Names of the tensors it computes.
    pub(crate) outputs: Vec<String>,
    /// Encoded; see [`attribute`](super::constant::attribute).
    pub(crate) attributes: Vec<Bytes>,
}

impl Graph {
    /// Reads the outline of an ONNX file from its bytes. It keeps slices of them, but copies no weights.
    ///
    /// # Errors
    /// The reason why the bytes are not an ONNX model, as the end of a sentence.
    pub fn read(bytes: impl Into<Bytes>) -> Result<Self, String> {
        let bytes = bytes.into();
        if bytes.starts_with(GIT_LFS_POINTER) {
            return Err("it is a Git LFS pointer; fetch the file with 'git lfs pull'".to_string());
        }
        let model = ModelProto::decode(bytes).map_err(|error| error.to_string())?;
        let graph = model.graph.ok_or("it has no graph")?;
        if model.ir_version < 1 {
            return Err("it has no IR version".to_string());
        }
        if graph.node.is_empty() || graph.output.is_empty() {
            return Err("its graph computes nothing".to_string());
        }
        let metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value));
        Self::outline(graph, metadata.collect())
    }

    fn outline(graph: GraphProto, metadata: BTreeMap<String, String>) -> Result<Self, String> {
        let weights = graph.initializer.iter().map(|tensor| TensorOutline::decode(tensor.clone()));
        let weights = weights.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let names: HashSet<&str> = weights.iter().map(|tensor| tensor.name.as_str()).collect();
        let fed = graph.input.iter().filter(|input| !names.contains(input.name.as_str()));
        let inputs = fed.map(Port::from).collect();
        let constants = weights.iter().zip(&graph.initializer).filter_map(|(outline, encoded)| {
            Some((outline.name.clone(), Constant::of_initializer(encoded)?))
        });
        let mut constants: HashMap<_, _> = constants.collect();
        let nodes: Vec<_> = graph.node.into_iter().map(Node::from).collect();
        for node in nodes.iter().filter(|node| node.operator == "Constant") {
            if let (Some(name), Some(value)) = (node.outputs.first(), Constant::of_node(&node.attributes)) {
                constants.insert(name.clone(), value);
            }
        }
        let outputs = nodes
            .iter()
            .enumerate()
            .flat_map(|(position, node)| node.outputs.iter().map(move |t| (t, position)));
        Ok(Self {
            dense_bytes: dense_bytes(&nodes, &weights),
            inputs,
            outputs: graph.output.iter().map(Port::from).collect(),
            weight_files: weights.iter().filter_map(weight_file).collect(),
            producers: outputs.map(|(tensor, position)| (tensor.clone(), position)).collect(),
            nodes,
            constants,
            metadata,
        })
    }

    /// The number of nodes that compute something.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.iter().filter(|node| node.operator != "Constant").count()
    }

    /// Whether a node computes with quantized numbers, or quantizes them.
    #[must_use]
    pub fn is_quantized(&self) -> bool {
        let operators = self.nodes.iter().map(|node| node.operator.as_str());
        operators.map(|operator| operator.rsplit("::").next().unwrap_or(operator)).any(is_quantized)
    }

    /// Returns the operator that computes `output`, skipping changes of shape and type; `None` if it is an input.
    #[must_use]
    pub fn ends_in(&self, output: &str) -> Option<&str> {
        Some(&self.origin(output, &TRANSPARENT)?.operator)
    }

    /// Returns the node that computes `tensor`, skipping `transparent` operators along their first inputs.
    pub(crate) fn origin(&self, tensor: &str, transparent: &[&str]) -> Option<&Node> {
        let mut tensor = tensor;
        // A valid graph has no cycle; the bound ends the walk in an invalid one.
        for _ in 0..self.nodes.len() {
            let node = self.producer(tensor)?;
            match node.inputs.first() {
                Some(input) if transparent.contains(&node.operator.as_str()) => tensor = input,
                _ => return Some(node),
            }
        }
        None
    }

    /// Returns the only node that takes the numbers of `tensor`; `None` if there are none or several.
    pub(crate) fn only_consumer(&self, tensor: &str) -> Option<&Node> {
        let takes =
            |node: &&Node| node.operator != "Shape" && node.inputs.iter().any(|input| input == tensor);
        let mut consumers = self.nodes.iter().filter(takes);
        consumers.next().filter(|_| consumers.next().is_none())
    }

    /// Returns the value of a small tensor that the file contains.
    pub(crate) fn constant(&self, tensor: &str) -> Option<&Constant> {
        self.constants.get(tensor).or_else(|| {
            let node = self.producer(tensor).filter(|node| node.operator == "Identity")?;
            self.constants.get(node.inputs.first()?)
        })
    }

    /// Whether the graph has an operator for which `is_wanted` is true.
    pub(crate) fn has_operator(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.nodes.iter().any(|node| is_wanted(&node.operator))
    }

    /// Returns a note of the exporter.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    fn producer(&self, tensor: &str) -> Option<&Node> {
        self.nodes.get(*self.producers.get(tensor)?)
    }
}

/// Bytes of the weights of `Gemm`, also of those that are quantized.
fn dense_bytes(nodes: &[Node], weights: &[TensorOutline]) -> u64 {
    let is = |node: &&Node, operator| node.operator == operator;
    let gemm = nodes.iter().filter(|node| is(node, "Gemm")).filter_map(|node| node.inputs.get(1));
    let mut dense: HashSet<_> = gemm.collect();
    for node in nodes.iter().filter(|node| is(node, "DequantizeLinear")) {
        if node.outputs.iter().any(|output| dense.contains(output)) {
            dense.extend(node.inputs.first());
        }
    }
    weights.iter().filter(|tensor| dense.contains(&tensor.name)).map(TensorOutline::bytes).sum()
}

/// Whether an operator, named without its domain, computes with quantized numbers, or quantizes them.
pub(crate) fn is_quantized(operator: &str) -> bool {
    matches!(operator, "QuantizeLinear" | "DequantizeLinear" | "ConvInteger" | "MatMulInteger")
        || operator.starts_with("QLinear")
}

impl From<NodeProto> for Node {
    fn from(node: NodeProto) -> Self {
        let NodeProto { input, output, op_type, attribute, domain } = node;
        let operator = match domain.as_str() {
            "" | "ai.onnx" => op_type,
            domain => format!("{domain}::{op_type}"),
        };
        Self { operator, inputs: input, outputs: output, attributes: attribute }
    }
}

fn weight_file(tensor: &TensorOutline) -> Option<String> {
    let location = tensor.external_data.iter().find(|entry| entry.key == "location")?;
    Some(location.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Onnx;

    #[test]
    fn weights_listed_as_inputs_are_not_inputs() -> Result<(), String> {
        let onnx = Onnx::new()
            .input("pixels", "float32", "batch,3,224,224")
            .input("kernel", "float32", "8,3,3,3")
            .weight("kernel")
            .node("Conv", &["pixels", "kernel"], "scores")
            .output("scores", "float16", "-1,?,0");
        let graph = Graph::read(onnx.bytes())?;
        let inputs = graph.inputs.iter().map(Port::to_string).collect::<Vec<_>>();
        assert_eq!(inputs, ["'pixels' float32 [batch, 3, 224, 224]"]);
        assert_eq!(graph.outputs[0].to_string(), "'scores' float16 [?, ?, ?]");
        Ok(())
    }

    #[test]
    fn last_operator_is_found_behind_changes_of_shape_and_type() -> Result<(), String> {
        let onnx = Onnx::new()
            .node("Gemm", &["pixels", "kernel"], "logits")
            .node("Softmax", &["logits"], "scores")
            .node("Cast", &["scores"], "halves")
            .node("Reshape", &["halves", "shape"], "out")
            .output("out", "float16", "batch,10");
        let graph = Graph::read(onnx.bytes())?;
        assert_eq!(graph.ends_in("out"), Some("Softmax"));
        assert_eq!(graph.ends_in("logits"), Some("Gemm"));
        assert_eq!(graph.ends_in("pixels"), None);
        Ok(())
    }

    #[test]
    fn cycle_ends_the_walk() -> Result<(), String> {
        let onnx = Onnx::new()
            .node("Identity", &["a"], "b")
            .node("Identity", &["b"], "a")
            .output("a", "float32", "batch,10");
        assert_eq!(Graph::read(onnx.bytes())?.ends_in("a"), None);
        Ok(())
    }

    #[test]
    fn other_files_are_not_read_as_onnx() {
        let read = |bytes: &[u8]| Graph::read(bytes.to_vec()).err();
        assert_eq!(read(b""), Some("it has no graph".to_string()));
        assert!(read(b"<!DOCTYPE html><html></html>").is_some());
        assert!(read(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").is_some());
        assert_eq!(read(&Onnx::new().bytes()), Some("its graph computes nothing".to_string()));
        let whole = Onnx::new().node("Relu", &["a"], "b").output("b", "float32", "1").bytes();
        assert!(read(&whole[..whole.len() - 1]).is_some());
    }
}
