//! A whole ONNX file, to be changed and written again.
//!
//! Unlike the outline in [`Graph`](super::Graph), it has every field of the file. What Seequel does not change stays
//! encoded, as a slice of the file's bytes. Field numbers are those of `onnx.proto`, IR versions 3 to 13.

use std::collections::{BTreeSet, HashMap};
use std::mem;

use bytes::Bytes;
use prost::Message;

use super::constant::attribute;
use super::proto::{
    AttributeProto, DimensionProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, data_type,
};

/// An ONNX file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Document {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(string, tag = "4")]
    domain: String,
    #[prost(int64, tag = "5")]
    model_version: i64,
    #[prost(string, tag = "6")]
    doc_string: String,
    #[prost(message, required, tag = "7")]
    pub(crate) graph: DocumentGraph,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
    #[prost(bytes = "bytes", repeated, tag = "14")]
    metadata_props: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "20")]
    training_info: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "25")]
    functions: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "26")]
    configuration: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

/// The graph of a file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DocumentGraph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<DocumentNode>,
    #[prost(string, tag = "2")]
    name: String,
    /// Each an encoded [`TensorProto`].
    #[prost(bytes = "bytes", repeated, tag = "5")]
    initializers: Vec<Bytes>,
    #[prost(string, tag = "10")]
    doc_string: String,
    /// Each an encoded [`ValueInfoProto`].
    #[prost(bytes = "bytes", repeated, tag = "11")]
    inputs: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "12")]
    outputs: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "13")]
    value_info: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "14")]
    quantization_annotation: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "15")]
    sparse_initializers: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "16")]
    metadata_props: Vec<Bytes>,
}

/// An operator.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DocumentNode {
    #[prost(string, repeated, tag = "1")]
    pub(crate) inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) operator: String,
    /// Each an encoded [`AttributeProto`].
    #[prost(bytes = "bytes", repeated, tag = "5")]
    attributes: Vec<Bytes>,
    #[prost(string, tag = "6")]
    doc_string: String,
    /// Empty or `ai.onnx` for ONNX's own operators.
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
    #[prost(string, tag = "8")]
    overload: String,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    metadata_props: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "10")]
    device_configurations: Vec<Bytes>,
}

/// Only the name of an encoded tensor, input or output.
#[derive(Clone, PartialEq, Message)]
struct TensorName {
    #[prost(string, tag = "8")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct PortName {
    #[prost(string, tag = "1")]
    name: String,
}

impl Document {
    /// Reads a file's bytes. Weights stay encoded.
    ///
    /// # Errors
    /// The reason why they are not an ONNX file, as the end of a sentence.
    pub(crate) fn read(bytes: impl Into<Bytes>) -> Result<Self, String> {
        let document = Self::decode(bytes.into()).map_err(|error| error.to_string())?;
        if document.graph.nodes.is_empty() {
            return Err("its graph computes nothing".to_owned());
        }
        Ok(document)
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Version of ONNX's own operators.
    pub(crate) fn opset(&self) -> i64 {
        let own = self.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        own.map_or(1, |set| set.version)
    }
}

impl DocumentGraph {
    /// Names of the outputs.
    pub(crate) fn output_names(&self) -> BTreeSet<String> {
        self.outputs.iter().filter_map(port_name).collect()
    }

    /// Names of the inputs that every run takes.
    pub(crate) fn input_names(&self) -> BTreeSet<String> {
        let weights = self.initializers();
        self.inputs.iter().filter_map(port_name).filter(|name| !weights.contains_key(name)).collect()
    }

    /// Adds an output of float32 whose shape is not stated.
    pub(crate) fn add_output(&mut self, name: &str) {
        let tensor_type = TensorTypeProto { elem_type: data_type::FLOAT, shape: None };
        self.outputs.push(port(name, tensor_type));
    }

    /// Adds an output of float32 of these dimensions.
    pub(crate) fn add_output_of(&mut self, name: &str, dims: &[i64]) {
        let dim = |length: &i64| DimensionProto { dim_value: *length, dim_param: String::new() };
        let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
        self.outputs.push(port(name, TensorTypeProto { elem_type: data_type::FLOAT, shape }));
    }

    /// The node whose first output is `output`.
    pub(crate) fn node_of(&self, output: &str) -> Option<&DocumentNode> {
        self.nodes.iter().find(|node| node.outputs.first().is_some_and(|first| first == output))
    }

    /// Encoded tensors of the file by name.
    pub(crate) fn initializers(&self) -> HashMap<String, Bytes> {
        let named = self
            .initializers
            .iter()
            .filter_map(|encoded| Some((TensorName::decode(encoded.clone()).ok()?.name, encoded.clone())));
        named.collect()
    }

    /// Adds a tensor.
    pub(crate) fn add_initializer(&mut self, tensor: &TensorProto) {
        self.initializers.push(tensor.encode_to_vec().into());
    }

    /// Replaces the tensor of the same name, or adds it.
    pub(crate) fn set_initializer(&mut self, tensor: &TensorProto) {
        self.initializers.retain(|encoded| {
            TensorName::decode(encoded.clone()).is_ok_and(|known| known.name != tensor.name)
        });
        self.add_initializer(tensor);
    }

    /// Keeps what the output `name` needs, which becomes the only one, of float32.
    pub(crate) fn keep_only(&mut self, name: &str) {
        let mut needed = BTreeSet::from([name.to_owned()]);
        let mut kept = Vec::new();
        for node in mem::take(&mut self.nodes).into_iter().rev() {
            if node.outputs.iter().any(|output| needed.contains(output)) {
                needed.extend(node.inputs.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        self.outputs.clear();
        self.add_output(name);
        self.remove_unused();
    }

    /// Removes the tensors that no node takes and no output is, and the notes about tensors that may have changed.
    pub(crate) fn remove_unused(&mut self) {
        // Older files list weights among the inputs, which would have to be fed once the weights are gone.
        let fed = self.input_names();
        self.inputs.retain(|encoded| port_name(encoded).is_some_and(|name| fed.contains(&name)));
        let mut used: BTreeSet<&str> =
            self.nodes.iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
        let outputs = self.output_names();
        used.extend(outputs.iter().map(String::as_str));
        self.initializers.retain(|encoded| {
            TensorName::decode(encoded.clone()).is_ok_and(|tensor| used.contains(tensor.name.as_str()))
        });
        self.value_info.clear();
        self.quantization_annotation.clear();
    }

    /// Whether a node has graphs of its own, as `If` and `Loop` do: they may take any tensor of this graph.
    pub(crate) fn has_subgraphs(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.operator.as_str(), "If" | "Loop" | "Scan" | "SequenceMap"))
    }
}

impl DocumentNode {
    /// An operator of ONNX with one output.
    pub(crate) fn new(operator: &str, inputs: &[&str], output: &str) -> Self {
        Self {
            operator: operator.to_owned(),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: vec![output.to_owned()],
            name: format!("{output}/{operator}"),
            ..Self::default()
        }
    }

    /// Adds an attribute that is an integer.
    #[must_use]
    pub(crate) fn with_int(self, name: &str, i: i64) -> Self {
        const INT: i32 = 2;
        self.with(&AttributeProto { name: name.to_owned(), i, r#type: INT, ..AttributeProto::default() })
    }

    /// Adds an attribute that is a list of integers.
    #[must_use]
    pub(crate) fn with_ints(self, name: &str, ints: &[i64]) -> Self {
        const INTS: i32 = 7;
        let (name, ints) = (name.to_owned(), ints.to_vec());
        self.with(&AttributeProto { name, ints, r#type: INTS, ..AttributeProto::default() })
    }

    fn with(mut self, attribute: &AttributeProto) -> Self {
        self.attributes.push(attribute.encode_to_vec().into());
        self
    }

    /// Whether it is this operator of ONNX.
    pub(crate) fn is(&self, operator: &str) -> bool {
        self.operator == operator && matches!(self.domain.as_str(), "" | "ai.onnx")
    }

    /// An attribute that is an integer, or ONNX's default for it.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        attribute(&self.attributes, name).map_or(default, |attribute| attribute.i)
    }

    /// An attribute that is a number, or ONNX's default for it.
    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        attribute(&self.attributes, name).map_or(default, |attribute| attribute.f)
    }

    /// An attribute that is a list of integers, none if it is missing.
    pub(crate) fn ints(&self, name: &str) -> Vec<i64> {
        attribute(&self.attributes, name).map_or_else(Vec::new, |attribute| attribute.ints)
    }

    /// Whether it has the attribute `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        attribute(&self.attributes, name).is_some()
    }
}

fn port(name: &str, tensor_type: TensorTypeProto) -> Bytes {
    let r#type = Some(TypeProto { tensor_type: Some(tensor_type) });
    ValueInfoProto { name: name.to_owned(), r#type }.encode_to_vec().into()
}

fn port_name(encoded: &Bytes) -> Option<String> {
    Some(PortName::decode(encoded.clone()).ok()?.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Onnx;

    #[test]
    fn a_weight_that_is_no_longer_used_is_no_input_either() -> Result<(), String> {
        let onnx = Onnx::new()
            .input("x", "float32", "1")
            .input("w", "float32", "1")
            .constant("w", &[1], &[2.0])
            .node("Mul", &["x", "w"], "y")
            .output("y", "float32", "1");
        let mut document = Document::read(onnx.bytes())?;
        assert_eq!(document.graph.input_names(), BTreeSet::from(["x".to_owned()]));
        document.graph.nodes = vec![DocumentNode::new("Identity", &["x"], "y")];
        document.graph.remove_unused();
        assert!(document.graph.initializers().is_empty());
        assert_eq!(document.graph.input_names(), BTreeSet::from(["x".to_owned()]));
        Ok(())
    }

    #[test]
    fn a_file_without_nodes_is_refused() {
        assert!(Document::read(Onnx::new().bytes()).is_err());
    }
}
