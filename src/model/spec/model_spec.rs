//! What Seequel knows about a model once `CREATE MODEL` has checked it: plain data, every question resolved.

use std::path::PathBuf;

use super::resources::Resources;
use crate::model::input::{ImageSpec, ModelInput, NumbersSpec};
use crate::model::onnx::Port;
use crate::model::settings::ResolvedSetting;
use crate::model::tensor::least_scale;
use crate::tasks::detection::Detector;
use crate::tasks::{EmbeddingSpec, Labels, OutputSpec, Task};

/// A model that can be loaded and fed without asking anything more; made by [`ModelSpec::resolve`].
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Name given in `CREATE MODEL`.
    pub name: String,
    /// Absolute path of the ONNX file.
    pub file: PathBuf,
    /// SHA-256 of the ONNX file (not of tensors it keeps in other files), 64 lower-case hex digits.
    pub sha256: String,
    /// What the model is for.
    pub task: Task,
    /// What the model is given, in the order of the graph.
    pub inputs: Vec<ModelInput>,
    /// Rows the graph demands in every batch; `None` if it takes any number.
    pub fixed_batch: Option<usize>,
    /// The tensor the model gives, and how to read it.
    pub output: OutputSpec,
    /// The output that `embed` reads, if there is one for it.
    pub embedding: Option<EmbeddingSpec>,
    /// How `detect` reads boxes, if it can.
    pub detector: Option<Detector>,
    /// Every output of the graph that is a tensor of numbers or text, for `predict`.
    pub outputs: Vec<Port>,
    /// Names of the classes; empty if there are none.
    pub labels: Labels,
    /// Where and in what portions the model runs.
    pub resources: Resources,
    /// Every setting with its value and source, in the order of the documentation, for `DESCRIBE MODEL`.
    pub settings: Vec<ResolvedSetting>,
}

impl ModelSpec {
    /// The input that takes an image, if there is one.
    #[must_use]
    pub fn image(&self) -> Option<&ImageSpec> {
        self.inputs.iter().find_map(|input| match input {
            ModelInput::Image(image) => Some(image),
            ModelInput::Numbers(_) => None,
        })
    }

    /// The inputs that take numbers of columns, in the order of the graph.
    pub fn numbers(&self) -> impl Iterator<Item = &NumbersSpec> {
        self.inputs.iter().filter_map(|input| match input {
            ModelInput::Image(_) => None,
            ModelInput::Numbers(numbers) => Some(numbers),
        })
    }

    /// The smallest scale at which this model can use an image of `width` × `height` pixels; 0 if it takes none.
    ///
    /// A detector gets twice the pixels of its input: shrinking twice, by the decoder and then to the input, blurs edges
    /// enough to move boxes by several pixels, where a class changes in its last digits.
    pub(crate) fn least_scale(&self, width: u32, height: u32) -> f64 {
        let scale = self.image().map_or(0.0, |image| least_scale(image, width, height));
        if self.task == Task::ObjectDetection { (2.0 * scale).min(1.0) } else { scale }
    }
}
