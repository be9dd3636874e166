//! Small ONNX files, folders and settings for tests. Files are built with the same protobuf schema that reads them.

use std::path::{Path, PathBuf};

use prost::Message;
use serde_json::Value;

use crate::Result;
use crate::model::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::model::settings::{Settings, Source};
use crate::model::spec::ModelSpec;

/// The set-up's folder, with ONNX Runtime.
pub(crate) fn home() -> PathBuf {
    let home = std::env::var_os("SEEQUEL_HOME").unwrap_or_else(|| ".seequel".into());
    Path::new(env!("CARGO_MANIFEST_DIR")).join(home)
}

/// An ONNX file under construction.
#[derive(Debug, Default)]
pub(crate) struct Onnx {
    graph: GraphProto,
    metadata: Vec<StringStringEntryProto>,
}

impl Onnx {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A classifier with one operator, from `pixels` of the given shape to `logits` of `[batch, classes]`.
    pub(crate) fn classifier(shape: &str, classes: usize) -> Self {
        Self::new().input("pixels", "float32", shape).node("Gemm", &["pixels"], "logits").output(
            "logits",
            "float32",
            &format!("batch,{classes}"),
        )
    }

    /// Adds an input; `shape` is a list such as `batch,3,224,224`.
    pub(crate) fn input(mut self, name: &str, element: &str, shape: &str) -> Self {
        self.graph.input.push(port(name, element, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str, element: &str, shape: &str) -> Self {
        self.graph.output.push(port(name, element, shape));
        self
    }

    pub(crate) fn node(self, op_type: &str, input: &[&str], output: &str) -> Self {
        self.node_with(op_type, input, output, &[])
    }

    /// A node with attributes of integers; the first of each is also its single integer.
    pub(crate) fn node_with(
        mut self,
        op_type: &str,
        input: &[&str],
        output: &str,
        attributes: &[(&str, &[i64])],
    ) -> Self {
        let attribute = |(name, ints): &(&str, &[i64])| {
            let (name, ints) = (name.to_string(), ints.to_vec());
            AttributeProto { name, i: ints[0], ints, ..AttributeProto::default() }.encode_to_vec().into()
        };
        self.graph.node.push(NodeProto {
            input: input.iter().map(ToString::to_string).collect(),
            output: vec![output.to_string()],
            op_type: op_type.to_string(),
            attribute: attributes.iter().map(attribute).collect(),
            domain: String::new(),
        });
        self
    }

    /// An initializer of float32.
    pub(crate) fn constant(self, name: &str, dims: &[i64], numbers: &[f32]) -> Self {
        let (dims, float_data) = (dims.to_vec(), numbers.to_vec());
        self.initializer(&TensorProto {
            name: name.to_string(),
            dims,
            data_type: 1,
            float_data,
            ..TensorProto::default()
        })
    }

    pub(crate) fn weight(self, name: &str) -> Self {
        self.initializer(&TensorProto { name: name.to_string(), ..TensorProto::default() })
    }

    pub(crate) fn weight_in_file(self, name: &str, file: &str) -> Self {
        let location = StringStringEntryProto { key: "location".to_string(), value: file.to_string() };
        let external_data = vec![location];
        self.initializer(&TensorProto { name: name.to_string(), external_data, ..TensorProto::default() })
    }

    fn initializer(mut self, tensor: &TensorProto) -> Self {
        self.graph.initializer.push(tensor.encode_to_vec().into());
        self
    }

    /// A note of the exporter.
    pub(crate) fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.push(StringStringEntryProto { key: key.to_string(), value: value.to_string() });
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (graph, metadata_props) = (Some(self.graph.clone()), self.metadata.clone());
        ModelProto { ir_version: 8, graph, metadata_props }.encode_to_vec()
    }
}

/// A folder with a `model.onnx`, deleted on drop.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn with(onnx: &Onnx) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("model.onnx"), onnx.bytes())?;
        Ok(Self(folder))
    }

    /// A classifier of 224 × 224 pixels and 2 classes.
    pub(crate) fn classifier() -> std::io::Result<Self> {
        Self::with(&Onnx::classifier("batch,3,224,224", 2))
    }

    pub(crate) fn put(self, file: &str, text: &str) -> std::io::Result<Self> {
        std::fs::write(self.path().join(file), text)?;
        Ok(self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Resolves the folder as model `m`.
    pub(crate) fn resolve(&self, options: &[(&str, &str)]) -> Result<ModelSpec> {
        let options = options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        ModelSpec::resolve("m", self.path(), &options)
    }

    /// The error of `resolve`, without the folder's path.
    pub(crate) fn error(&self, options: &[(&str, &str)]) -> String {
        let error = self.resolve(options).err().map(|error| error.to_string()).unwrap_or_default();
        error.replace(&format!("{}/", self.path().display()), "")
    }
}

/// The settings of a model `m` that has only OPTIONS.
pub(crate) fn options(pairs: &[(&str, &str)]) -> Result<Settings<'static>> {
    let mut settings = Settings::new("m");
    settings.push(
        Source::Options,
        pairs.iter().map(|(key, value)| (key.to_string(), Value::from(*value))).collect(),
    )?;
    Ok(settings)
}

fn port(name: &str, element: &str, shape: &str) -> ValueInfoProto {
    let elem_type = match element {
        "float32" => 1,
        "uint8" => 2,
        "int8" => 3,
        "uint16" => 4,
        "int16" => 5,
        "int32" => 6,
        "int64" => 7,
        "string" => 8,
        "float16" => 10,
        "complex64" => 14,
        _ => 0,
    };
    let lengths = shape.split(',').filter(|length| !length.is_empty());
    let shape = TensorShapeProto { dim: lengths.map(dimension).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type, shape: Some(shape) });
    ValueInfoProto { name: name.to_string(), r#type: Some(TypeProto { tensor_type }) }
}

fn dimension(text: &str) -> DimensionProto {
    match text.parse() {
        Ok(dim_value) => DimensionProto { dim_value, dim_param: String::new() },
        Err(_) => DimensionProto { dim_value: 0, dim_param: text.to_string() },
    }
}
