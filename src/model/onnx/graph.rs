//! Metadata of an ONNX file: its inputs, its outputs and the operators that compute them. Nothing is run.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use datafusion::arrow::datatypes::DataType;
use prost::Message;

use super::proto::{DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::model::settings::keywords;

/// Operators that change at most the shape or type of their input.
const TRANSPARENT: [&str; 6] = ["Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"];

/// Prefix of a Git LFS pointer, a text file in place of a large file that is not fetched yet.
const GIT_LFS_POINTER: &[u8] = b"version https://git-lfs";

keywords! {
    /// Type of a tensor's numbers.
    pub enum Element {
        /// IEEE 754 single precision.
        F32 = "float32",
        /// IEEE 754 half precision.
        F16 = "float16",
        /// Bytes.
        U8 = "uint8",
    }
}

/// The outline of an ONNX graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Tensors that every run takes.
    pub inputs: Vec<Port>,
    /// Tensors that a run returns.
    pub outputs: Vec<Port>,
    /// External weight files, as paths relative to the model's folder.
    pub(crate) weight_files: BTreeSet<String>,
    /// For each tensor, the operator that computes it and that operator's first input.
    producers: HashMap<String, (String, Option<String>)>,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Its `TensorProto.DataType` in ONNX's numbering, 0 if it is not a tensor or has no type.
    pub data_type: i32,
    /// Its dimensions, outermost first; `None` if the rank is unknown.
    pub dims: Option<Vec<Dim>>,
}

/// One dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A fixed length, at least 1.
    Fixed(usize),
    /// A length known only at run time. Dimensions with the same name are equal; `?` stands for no name.
    Dynamic(String),
}

impl Graph {
    /// Reads the outline of an ONNX file from its bytes.
    ///
    /// # Errors
    /// The reason why the bytes are not an ONNX model, as the end of a sentence.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
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
        Ok(Self::outline(graph))
    }

    fn outline(graph: GraphProto) -> Self {
        let weights: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let fed = graph.input.iter().filter(|input| !weights.contains(input.name.as_str()));
        Self {
            inputs: fed.map(Port::from).collect(),
            outputs: graph.output.iter().map(Port::from).collect(),
            weight_files: graph.initializer.iter().filter_map(weight_file).collect(),
            producers: graph.node.into_iter().flat_map(producers).collect(),
        }
    }

    /// Returns the operator that computes `output`, skipping changes of shape and type; `None` if it is an input.
    #[must_use]
    pub fn ends_in(&self, output: &str) -> Option<&str> {
        let mut tensor = output;
        // A valid graph has no cycle; the bound ends the walk in an invalid one.
        for _ in 0..self.producers.len() {
            let (operator, first_input) = self.producers.get(tensor)?;
            match first_input {
                Some(input) if TRANSPARENT.contains(&operator.as_str()) => tensor = input,
                _ => return Some(operator),
            }
        }
        None
    }
}

fn producers(node: NodeProto) -> impl Iterator<Item = (String, (String, Option<String>))> {
    let NodeProto { input, output, op_type } = node;
    let first_input = input.into_iter().next();
    output.into_iter().map(move |tensor| (tensor, (op_type.clone(), first_input.clone())))
}

fn weight_file(tensor: &TensorProto) -> Option<String> {
    let location = tensor.external_data.iter().find(|entry| entry.key == "location")?;
    Some(location.value.clone())
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
            10 => Some(Element::F16),
            _ => None,
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
    let lengths = port.dims.as_deref()?.get(1..)?;
    lengths.iter().map(Dim::fixed).try_fold(1_usize, |product, length| product.checked_mul(length?))
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
        write!(f, "'{}' {}", self.name, self.type_name())?;
        match &self.dims {
            Some(dims) => write!(f, " [{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", ")),
            None => f.write_str(" of unknown shape"),
        }
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
        let graph = Graph::read(&onnx.bytes())?;
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
        let graph = Graph::read(&onnx.bytes())?;
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
        assert_eq!(Graph::read(&onnx.bytes())?.ends_in("a"), None);
        Ok(())
    }

    #[test]
    fn other_files_are_not_read_as_onnx() {
        let read = |bytes: &[u8]| Graph::read(bytes).err();
        assert_eq!(read(b""), Some("it has no graph".to_string()));
        assert!(read(b"<!DOCTYPE html><html></html>").is_some());
        assert!(read(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").is_some());
        assert_eq!(read(&Onnx::new().bytes()), Some("its graph computes nothing".to_string()));
        let whole = Onnx::new().node("Relu", &["a"], "b").output("b", "float32", "1").bytes();
        assert!(read(&whole[..whole.len() - 1]).is_some());
    }
}
