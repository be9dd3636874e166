//! The fields of ONNX's protobuf schema that Seequel reads; prost skips all others.
//!
//! Weights and attributes stay encoded, as slices of the file: only small ones are decoded, when they are needed.
//!
//! Field numbers are those of `onnx.proto` (IR version 3 and later). Singular fields of that proto2 file are read as in
//! proto3: absent means zero or empty.

use bytes::Bytes;
use prost::Message;

/// Values of `TensorProto.DataType`.
pub(crate) mod data_type {
    pub(crate) const FLOAT: i32 = 1;
    pub(crate) const UINT8: i32 = 2;
    pub(crate) const INT8: i32 = 3;
    pub(crate) const INT32: i32 = 6;
    pub(crate) const INT64: i32 = 7;
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<GraphProto>,
    /// Notes of the exporter.
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<NodeProto>,
    /// Each an encoded [`TensorProto`].
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub(crate) initializer: Vec<Bytes>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    /// Each an encoded [`AttributeProto`].
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub(crate) attribute: Vec<Bytes>,
    /// Empty for ONNX's own operators.
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(float, tag = "2")]
    pub(crate) f: f32,
    #[prost(int64, tag = "3")]
    pub(crate) i: i64,
    #[prost(message, optional, tag = "5")]
    pub(crate) t: Option<TensorProto>,
    #[prost(float, repeated, tag = "7")]
    pub(crate) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(crate) ints: Vec<i64>,
    /// A value of `AttributeProto.AttributeType`, which says which of the fields holds the value.
    #[prost(int32, tag = "20")]
    pub(crate) r#type: i32,
}

/// A tensor without its numbers.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorOutline {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    /// A value of `TensorProto.DataType`.
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    /// Location of the numbers if they are not in this file: keys `location`, `offset`, `length`.
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<StringStringEntryProto>,
}

impl TensorOutline {
    /// Bytes of its numbers, by its dimensions. Those of types that weights rarely have count as four each.
    pub(crate) fn bytes(&self) -> u64 {
        let numbers = self.dims.iter().map(|dim| u64::try_from(*dim).unwrap_or(0));
        let numbers = numbers.fold(1, u64::saturating_mul);
        let bytes = if matches!(self.data_type, data_type::INT8 | data_type::UINT8) { 1 } else { 4 };
        numbers.saturating_mul(bytes)
    }
}

/// A tensor. Its numbers are in `raw_data`, little-endian, or in the field of their type.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    /// A value of `TensorProto.DataType`.
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(crate) float_data: Vec<f32>,
    /// Of integers of at most 32 bits, and of float16 as its bits.
    #[prost(int32, repeated, tag = "5")]
    pub(crate) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(crate) int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    #[prost(bytes = "bytes", tag = "9")]
    pub(crate) raw_data: Bytes,
    #[prost(double, repeated, tag = "10")]
    pub(crate) double_data: Vec<f64>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<StringStringEntryProto>,
}

impl TensorProto {
    /// Numbers of type `element`, one of [`data_type`], as little-endian bytes.
    pub(crate) fn of_bytes(name: &str, dims: &[i64], element: i32, raw: Vec<u8>) -> Self {
        let (name, dims, raw_data) = (name.to_owned(), dims.to_vec(), raw.into());
        Self { name, dims, data_type: element, raw_data, ..Self::default() }
    }
}

impl TensorProto {
    /// Decodes a tensor.
    ///
    /// # Errors
    /// The reason why it is malformed.
    pub(crate) fn of(encoded: &Bytes) -> Result<Self, String> {
        Self::decode(encoded.clone()).map_err(|error| error.to_string())
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    /// Absent for sequences, maps, optionals and sparse tensors.
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorTypeProto {
    /// A value of `TensorProto.DataType`.
    #[prost(int32, tag = "1")]
    pub(crate) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimensionProto {
    #[prost(int64, tag = "1")]
    pub(crate) dim_value: i64,
    #[prost(string, tag = "2")]
    pub(crate) dim_param: String,
}
