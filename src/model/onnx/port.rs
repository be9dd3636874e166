//! The inputs and outputs of a graph: name, type and shape.

use std::fmt;

use datafusion::arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::proto::{DimensionProto, ValueInfoProto};
use crate::model::settings::keywords;

keywords! {
    /// Type of a tensor's numbers.
    pub enum Element {
        /// IEEE 754 single precision.
        F32 = "float32",
        /// IEEE 754 half precision.
        F16 = "float16",
        /// Bytes.
        U8 = "uint8",
        /// 16 bits, unsigned.
        U16 = "uint16",
        /// 16 bits, signed.
        I16 = "int16",
        /// 32 bits, signed.
        I32 = "int32",
        /// 64 bits, signed.
        I64 = "int64",
    }
}

impl Element {
    /// Whether its numbers have fractions.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// Bytes per number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::U16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Its `TensorProto.DataType` in ONNX's numbering, 0 if it is not a tensor or has no type.
    pub data_type: i32,
    /// Its dimensions, outermost first; `None` if the rank is unknown.
    pub dims: Option<Vec<Dim>>,
}

/// One dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dim {
    /// A fixed length, at least 1.
    Fixed(usize),
    /// A length known only at run time. Dimensions with the same name are equal; `?` stands for no name.
    Dynamic(String),
}

impl From<&ValueInfoProto> for Port {
    fn from(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        Self {
            name: value.name.clone(),
            data_type: tensor.map_or(0, |tensor| tensor.elem_type),
            dims: shape.map(|shape| shape.dim.iter().map(Dim::from).collect()),
        }
    }
}

/// Exporters also write 0 or −1 for an unknown length.
impl From<&DimensionProto> for Dim {
    fn from(dim: &DimensionProto) -> Self {
        match usize::try_from(dim.dim_value) {
            Ok(length) if length > 0 => Self::Fixed(length),
            _ if dim.dim_param.is_empty() => Self::Dynamic("?".to_string()),
            _ => Self::Dynamic(dim.dim_param.clone()),
        }
    }
}

impl Dim {
    /// Returns the length if it is fixed.
    #[must_use]
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(length) => Some(*length),
            Self::Dynamic(_) => None,
        }
    }
}

impl Port {
    /// Returns the type of its numbers if an image tensor can have it.
    #[must_use]
    pub fn element(&self) -> Option<Element> {
        match self.data_type {
            1 => Some(Element::F32),
            2 => Some(Element::U8),
            4 => Some(Element::U16),
            5 => Some(Element::I16),
            6 => Some(Element::I32),
            7 => Some(Element::I64),
            10 => Some(Element::F16),
            _ => None,
        }
    }

    /// Whether its numbers are float32 or float16.
    #[must_use]
    pub fn has_floats(&self) -> bool {
        self.element().is_some_and(Element::is_float)
    }

    /// Returns the dimensions of one row, without that of the batch, if the rank is known and not 0.
    #[must_use]
    pub fn row_dims(&self) -> Option<&[Dim]> {
        self.dims.as_deref()?.get(1..)
    }

    /// Numbers of one row, with dynamic dimensions counted as 1.
    pub(crate) fn row_elements(&self) -> u64 {
        let lengths = self.row_dims().unwrap_or_default().iter().filter_map(Dim::fixed);
        lengths.fold(1, |product, length| product.saturating_mul(length as u64))
    }

    /// Bytes of one row in a column, with dynamic dimensions counted as 1.
    pub(crate) fn row_bytes(&self) -> usize {
        let lengths = self.row_dims().unwrap_or_default().iter().filter_map(Dim::fixed);
        let width = self.arrow_type().and_then(|number| number.primitive_width()).unwrap_or(1);
        lengths.fold(width, usize::saturating_mul)
    }

    /// Formats its dimensions, as in `[batch, 3, 224, 224]`.
    pub(crate) fn shape(&self) -> String {
        match &self.dims {
            Some(dims) => format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", ")),
            None => "of unknown shape".to_string(),
        }
    }

    /// Returns the type of a column that can hold its numbers, if any. Float16 is read as Float32.
    #[must_use]
    pub fn arrow_type(&self) -> Option<DataType> {
        match self.element_type()? {
            DataType::Float16 => Some(DataType::Float32),
            element => Some(element),
        }
    }

    /// Returns the Arrow type of its numbers, if any.
    pub(crate) fn element_type(&self) -> Option<DataType> {
        Some(match self.data_type {
            1 => DataType::Float32,
            2 => DataType::UInt8,
            3 => DataType::Int8,
            4 => DataType::UInt16,
            5 => DataType::Int16,
            6 => DataType::Int32,
            7 => DataType::Int64,
            8 => DataType::Utf8,
            9 => DataType::Boolean,
            10 => DataType::Float16,
            11 => DataType::Float64,
            12 => DataType::UInt32,
            13 => DataType::UInt64,
            _ => return None,
        })
    }

    /// Returns ONNX's name for the type of its numbers (`TensorProto.DataType` in `onnx.proto`).
    fn type_name(&self) -> &'static str {
        const NAMES: [&str; 17] = [
            "no tensor",
            "float32",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "float64",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
        ];
        let named = usize::try_from(self.data_type).ok().and_then(|number| NAMES.get(number));
        named.copied().unwrap_or("a type of few bits")
    }
}

/// Count of numbers per row of `port`, or `None` if it is dynamic.
pub(crate) fn fixed_length(port: &Port) -> Option<usize> {
    port.row_dims()?.iter().map(Dim::fixed).try_fold(1_usize, |product, length| product.checked_mul(length?))
}

/// Formats ports, as in `are 'ids' int64 [batch, 77], 'mask' int64 [batch, 77]`.
pub(crate) fn listed(ports: &[Port]) -> String {
    match ports {
        [] => "are none".to_string(),
        [port] => format!("is {port}"),
        ports => format!("are {}", ports.iter().map(Port::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Formats as in `'pixel_values' float32 [batch, 3, 224, 224]`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {} {}", self.name, self.type_name(), self.shape())
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Dynamic(name) => f.write_str(name),
        }
    }
}
