//! Models: from the words of `CREATE MODEL` to numbers in a tensor.
//!
//! How a statement becomes a [`ModelSpec`], without ONNX Runtime and without guessing:
//!
//! ```text
//!  CREATE MODEL vit FROM 'vit/' OPTIONS (labels 'labels.txt', …)
//!                    │                 │
//!        files       ▼                 ▼            settings: strongest layer first
//!  vit/onnx/model.onnx                 OPTIONS ───────────────┐
//!  vit/seequel.json ───────────────────────────────────────── ┤
//!  vit/preprocessor_config.json ── hugging_face, timm ─────── ┤
//!  vit/config.json ─────────────── hugging_face, timm ─────── ┤
//!          │                                                  ▼
//!          └─ proto ─ graph ─ what the file fixes ──► input, output, labels, resources ──► spec
//!                                                     every option settled once,
//!                                                     checked against the graph
//! ```
//!
//! and how a [`Model`] runs:
//!
//! ```text
//!  RgbImage ─ preprocess ─► tensor ─ pool: a session of onnx ─► numbers ─ classification, detection ─► answers
//! ```
//!
//! [`ModelSpec::resolve`] does all of the former. A model that could not run is refused there, with an error that names the
//! option or file at fault, and not at the millionth image.

mod batch_output;
mod classification;
mod describe;
mod detection;
mod detector;
mod embedding;
mod ensemble;
mod fetch;
mod files;
#[cfg(test)]
mod formats;
mod geometry;
mod graph;
mod hugging_face;
mod input;
mod inputs;
mod keyword;
mod labels;
mod model;
mod numbers;
mod onnx;
mod output;
mod pixels;
mod pool;
mod predictor;
mod preprocess;
mod proto;
mod registry;
mod resolve;
mod resources;
mod settings;
mod sizing;
mod sources;
mod spec;
mod tensor;
#[cfg(test)]
mod testing;
mod timm;
mod values;

pub use detector::{AnchorHead, Detector, Layout as BoxLayout};
pub use ensemble::{Combine, CreateEnsemble, Ensemble};
pub use graph::{Dim, Graph, Port};
pub use inputs::{ImageSpec, ModelInput};
pub use keyword::UnknownKeyword;
pub use labels::Labels;
pub use model::Model;
pub use numbers::NumbersSpec;
pub use onnx::{Provider, Runtime};
pub use predictor::Predictor;
pub use preprocess::Preprocessor;
pub use registry::{CreateModel, ModelRegistry};
pub use resources::{Device, Precision, Resources, UnknownDevice};
pub use settings::{ResolvedSetting, Source};
pub use sizing::Sizing;
pub use spec::{
    Activation, Background, Channels, Element, EmbeddingSpec, InputSpec, Interpolation, Layout, ModelSpec,
    OutputSpec, Preprocessing, Resize, Task,
};
pub use tensor::{Tensor, TensorData};

pub(crate) use batch_output::{BatchOutput, fixed_length};
pub(crate) use classification::{Class, best_class, confidences, top_classes};
pub(crate) use detection::{Detection, detections};
pub(crate) use geometry::{Placement, least_scale};
pub(crate) use inputs::Assignment;
pub(crate) use model::RunTimes;
pub(crate) use numbers::{Numbers, RowNumbers};
pub(crate) use onnx::Batch;
