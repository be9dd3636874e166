//! Postprocesses a model's outputs for one image to the prediction for a row.

use datafusion::arrow::array::ArrayRef;

use crate::failures::Failure;
use crate::model::onnx::Port;
use crate::model::spec::ModelSpec;
use crate::model::tensor::{BatchOutput, Placement};
use crate::tasks::detection::{Detection, detections};
use crate::tasks::{Class, Task, best_class, confidences, field_shape, top_classes};

/// How to postprocess a model's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Postprocess {
    /// The best class.
    Best,
    /// This many of the best classes.
    Top(usize),
    /// The confidences of all classes, for an ensemble.
    Confidences,
    /// The embedding.
    Embedding,
    /// The objects.
    Objects,
    /// All outputs unchanged.
    Outputs,
}

/// The values of one image.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A class, and the index of the member that predicted it, if a single one did.
    Class(Class, Option<usize>),
    Classes(Vec<Class>),
    Numbers(Vec<f32>),
    Objects(Vec<Detection>),
    Outputs(Vec<RowOutput>),
}

/// One row's numbers of one output.
#[derive(Debug, Clone)]
pub(crate) struct RowOutput {
    /// In row-major order, a slice of those of the batch.
    pub(crate) numbers: ArrayRef,
    pub(crate) shape: Vec<usize>,
}

/// The prediction for one row.
#[derive(Debug, Clone)]
pub(crate) enum Prediction {
    /// The image was NULL.
    Null,
    Value(Value),
    Failed(Failure),
}

impl Postprocess {
    /// What a model's task gives.
    pub(crate) fn of_task(spec: &ModelSpec) -> Self {
        match spec.task {
            Task::ImageClassification => Self::Best,
            _ if spec.detector.is_some() => Self::Objects,
            _ if spec.embedding.is_some() => Self::Embedding,
            _ => Self::Outputs,
        }
    }

    /// Names of the outputs that it reads, in the order that [`Self::apply`] expects.
    pub(crate) fn outputs(self, spec: &ModelSpec) -> Vec<&str> {
        match self {
            Self::Best | Self::Top(_) | Self::Confidences => vec![&spec.output.name],
            Self::Embedding => spec.embedding.iter().map(|output| output.name.as_str()).collect(),
            Self::Objects => spec.detector.iter().flat_map(|detector| detector.outputs()).collect(),
            Self::Outputs => spec.outputs.iter().map(|output| output.name.as_str()).collect(),
        }
    }

    /// Reads row `image` of a batch; `placement` is the image's position in the model's input.
    ///
    /// # Errors
    /// Outputs that are not numbers, or whose length differs from the specification.
    pub(crate) fn apply(
        self,
        spec: &ModelSpec,
        outputs: &[&BatchOutput],
        image: usize,
        placement: Option<&Placement>,
    ) -> Result<Value, String> {
        match self {
            Self::Best => best(spec, outputs, image),
            Self::Top(k) => Ok(Value::Classes(top_classes(&all_confidences(spec, outputs, image)?, k))),
            Self::Confidences => Ok(Value::Numbers(all_confidences(spec, outputs, image)?)),
            Self::Embedding => embedding(spec, outputs, image),
            Self::Objects => objects(spec, outputs, image, placement),
            Self::Outputs => all_outputs(spec, outputs, image),
        }
    }
}

fn best(spec: &ModelSpec, outputs: &[&BatchOutput], image: usize) -> Result<Value, String> {
    let best = best_class(scores(spec, outputs, image)?, spec.output.activation);
    best.map(|class| Value::Class(class, None)).ok_or_else(|| no_number(&spec.output.name))
}

fn scores<'a>(spec: &ModelSpec, outputs: &[&'a BatchOutput], image: usize) -> Result<&'a [f32], String> {
    numbers(&spec.output.name, spec.output.classes, outputs, image)
}

fn all_confidences(spec: &ModelSpec, outputs: &[&BatchOutput], image: usize) -> Result<Vec<f32>, String> {
    let confidences = confidences(scores(spec, outputs, image)?, spec.output.activation);
    confidences.ok_or_else(|| no_number(&spec.output.name))
}

fn embedding(spec: &ModelSpec, outputs: &[&BatchOutput], image: usize) -> Result<Value, String> {
    let Some(output) = &spec.embedding else { return Err("the model gives no vectors".to_owned()) };
    let vector = numbers(&output.name, output.length, outputs, image)?;
    if vector.iter().any(|number| number.is_nan()) {
        return Err(no_number(&output.name));
    }
    Ok(Value::Numbers(vector.to_vec()))
}

fn objects(
    spec: &ModelSpec,
    outputs: &[&BatchOutput],
    image: usize,
    placement: Option<&Placement>,
) -> Result<Value, String> {
    let (Some(detector), Some(spec), Some(placement)) = (&spec.detector, spec.image(), placement) else {
        return Err("the model gives no boxes".to_owned());
    };
    detections(detector, &spec.input, outputs, image, placement).map(Value::Objects)
}

fn all_outputs(spec: &ModelSpec, outputs: &[&BatchOutput], image: usize) -> Result<Value, String> {
    let output = |(port, output): (&Port, &&BatchOutput)| {
        Ok(RowOutput { numbers: output.image(image), shape: field_shape(port, output.shape())? })
    };
    spec.outputs.iter().zip(outputs).map(output).collect::<Result<_, _>>().map(Value::Outputs)
}

/// The numbers for an image in the only output that is read.
fn numbers<'a>(
    name: &str,
    expected: usize,
    outputs: &[&'a BatchOutput],
    image: usize,
) -> Result<&'a [f32], String> {
    match outputs.first().and_then(|output| output.floats(image)) {
        Some(numbers) if numbers.len() == expected => Ok(numbers),
        Some(numbers) => {
            Err(format!("output '{name}' has {} values for each image, not {expected}", numbers.len()))
        }
        None => Err(no_number(name)),
    }
}

fn no_number(output: &str) -> String {
    format!("output '{output}' is not a number")
}
