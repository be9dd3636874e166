//! The outline of an ONNX file, read without ONNX Runtime: inputs, outputs and operators.

mod graph;
mod proto;

pub use graph::{Dim, Element, Graph, Port};

pub(crate) use graph::{fixed_length, listed};
#[cfg(test)]
pub(crate) use proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
