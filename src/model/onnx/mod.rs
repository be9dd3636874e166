//! The outline of an ONNX file, read without ONNX Runtime: inputs, outputs, operators and small constants.

mod affine;
mod constant;
mod graph;
mod port;
mod proto;

pub use graph::Graph;
pub use port::{Dim, Element, Port};

pub(crate) use affine::Affine;
pub(crate) use port::{fixed_length, listed};
#[cfg(test)]
pub(crate) use proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
