//! The specification of a model, with every setting resolved and checked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::resources::Resources;
use crate::model::input::{ImageSpec, ModelInput, NumbersSpec};
use crate::model::onnx::Port;
use crate::model::settings::ResolvedSetting;
use crate::model::tensor::least_scale;
use crate::tasks::detection::Detector;
use crate::tasks::{EmbeddingSpec, Labels, OutputSpec, Task};

/// Everything needed to load and run a model; created by [`ModelSpec::resolve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Name given in `CREATE MODEL`.
    pub name: String,
    /// Absolute path of the ONNX file.
    pub file: PathBuf,
    /// SHA-256 of the ONNX file (without external weight files), 64 lower-case hex digits.
    pub sha256: String,
    /// Its external weight files.
    pub weight_files: Vec<PathBuf>,
    /// Bytes of these files.
    pub external_bytes: u64,
    /// Bytes of weights that each row of a batch is multiplied with once, as in `Gemm`; a convolution's are with many
    /// pixels of a row.
    pub dense_bytes: u64,
    /// What the model is for.
    pub task: Task,
    /// The model's inputs, in the order of the graph.
    pub inputs: Vec<ModelInput>,
    /// Batch size fixed by the graph; `None` if it is dynamic.
    pub fixed_batch: Option<usize>,
    /// The output tensor, and how to interpret it.
    pub output: OutputSpec,
    /// The output that `embed` returns, if any.
    pub embedding: Option<EmbeddingSpec>,
    /// How `detect` reads boxes, if the output layout is supported.
    pub detector: Option<Detector>,
    /// The number of the graph's nodes.
    pub nodes: usize,
    /// All inputs of the graph.
    pub graph_inputs: Vec<Port>,
    /// All outputs of the graph.
    pub graph_outputs: Vec<Port>,
    /// The graph's outputs with a supported type, numbers or text, for `predict`.
    pub outputs: Vec<Port>,
    /// Names of the classes; empty if there are none.
    pub labels: Labels,
    /// Device, batch size, sessions and threads.
    pub resources: Resources,
    /// Every setting with its value and source, in the order of the documentation, for `DESCRIBE MODEL`. It does not
    /// travel to other machines.
    #[serde(skip)]
    pub settings: Vec<ResolvedSetting>,
}

impl ModelSpec {
    /// The input that takes an image, if any.
    #[must_use]
    pub fn image(&self) -> Option<&ImageSpec> {
        self.inputs.iter().find_map(|input| match input {
            ModelInput::Image(image) => Some(image),
            ModelInput::Numbers(_) => None,
        })
    }

    /// The inputs that take numbers from columns, in the order of the graph.
    pub fn numbers(&self) -> impl Iterator<Item = &NumbersSpec> {
        self.inputs.iter().filter_map(|input| match input {
            ModelInput::Image(_) => None,
            ModelInput::Numbers(numbers) => Some(numbers),
        })
    }

    /// The smallest scale at which this model can use an image of `width` × `height` pixels; 0 if it takes none.
    ///
    /// A detector gets twice the resolution of its input: shrinking in two steps, in the decoder and then to the
    /// input, blurs edges enough to move boxes by several pixels, whereas confidences only change in the last digits.
    pub(crate) fn least_scale(&self, width: u32, height: u32) -> f64 {
        let scale = self.image().map_or(0.0, |image| least_scale(image, width, height));
        if self.task == Task::ObjectDetection { (2.0 * scale).min(1.0) } else { scale }
    }
}
