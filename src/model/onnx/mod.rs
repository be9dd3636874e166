//! ONNX files, read without ONNX Runtime: the outline of a graph (inputs, outputs, operators and small constants), and
//! whole documents that can be changed and written again.

mod affine;
mod constant;
mod document;
mod graph;
mod port;
mod proto;
mod weights;

pub use graph::Graph;
pub use port::{Dim, Element, Port};

pub(crate) use affine::Affine;
pub(crate) use constant::Constant;
pub(crate) use document::{Document, DocumentGraph, DocumentNode};
pub(crate) use graph::is_quantized;
pub(crate) use port::{fixed_length, listed};
#[cfg(test)]
pub(crate) use proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
pub(crate) use proto::{TensorOutline, TensorProto, data_type};
pub(crate) use weights::floats;
