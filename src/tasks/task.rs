//! The task of a model, and the outputs it accepts.

use std::fmt;
use std::str::FromStr;

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;

use crate::Result;
use crate::model::onnx::{Dim, Element, Graph, Port, listed};
use crate::model::settings::{Settings, Source, UnknownKeyword, keyword};

/// Options for the output of one task, which don't apply to another task.
const OF_OUTPUT: [&str; 5] = ["labels", "background", "activation", "output", "embedding"];

/// The task of a graph without an image.
const PREDICTION: &str = "prediction";

/// What a model is for, named as by Hugging Face.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Task {
    /// One score per class, for `classify` and `classify_top_k`.
    ImageClassification,
    /// One vector per image, for `embed`.
    FeatureExtraction,
    /// Boxes, each with a class, for `detect`.
    ObjectDetection,
    /// Any other task, in lower case, for `predict`.
    Other(String),
}

impl Task {
    const NAMED: [Self; 3] = [Self::ImageClassification, Self::FeatureExtraction, Self::ObjectDetection];

    /// Names at least this similar (0 to 1) to a named task count as typos rather than other tasks: two letters in
    /// twenty may differ, whereas `text-classification` scores 0.75 against `image-classification`.
    const TYPO: f64 = 0.85;
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ImageClassification => "image-classification",
            Self::FeatureExtraction => "feature-extraction",
            Self::ObjectDetection => "object-detection",
            Self::Other(task) => task,
        })
    }
}

/// Accepts any name, except likely typos of a named task.
impl FromStr for Task {
    type Err = UnknownKeyword;

    fn from_str(text: &str) -> Result<Self, UnknownKeyword> {
        let name = text.trim().to_ascii_lowercase();
        let similarity = |task: &Self| normalized_levenshtein(&task.to_string(), &name);
        if let Some(task) = Self::NAMED.into_iter().find(|task| task.to_string() == name) {
            return Ok(task);
        }
        if name.is_empty() || Self::NAMED.iter().any(|task| similarity(task) >= Self::TYPO) {
            let allowed = Self::NAMED.map(|task| task.to_string()).join(", ");
            return Err(UnknownKeyword { given: text.to_string(), allowed });
        }
        Ok(Self::Other(name))
    }
}

impl Task {
    /// Resolves the task. By default, a graph with an image input and an output of class scores is a classifier, and
    /// one without an image is for `predict`.
    ///
    /// # Errors
    /// If there is no default, or the task needs an image and the graph takes none.
    pub(crate) fn resolve(settings: &mut Settings<'_>, graph: &Graph, has_image: bool) -> Result<Self> {
        let scores = graph.outputs.iter().any(|port| Self::ImageClassification.fits(port));
        let given = settings.get("task", |value, _| keyword(value))?;
        // Hugging Face's files use the names of image tasks for text models, too.
        let given =
            given.filter(|(_, source)| has_image || matches!(source, Source::Options | Source::SeequelJson));
        let default = match has_image {
            true => scores.then_some(Self::ImageClassification),
            false => Some(Self::Other(PREDICTION.to_owned())),
        };
        let Some((task, source)) = given.or_else(|| default.map(|task| (task, Source::Graph))) else {
            let reason = "the task is unknown; set it to image-classification, feature-extraction, \
                          object-detection, or to any other word for predict";
            return Err(settings.option_error("task", reason));
        };
        if !has_image && !matches!(task, Self::Other(_)) {
            let inputs = listed(&graph.inputs);
            let reason = format!(
                "{task} takes an image, which is float32, float16 or uint8 of 4 dimensions, one of them 1 or 3 channels; \
                 but the model's input {inputs}"
            );
            return Err(settings.option_error("task", &reason));
        }
        settings.note("task", &task, source);
        settings.retain_task(|value| keyword(value).as_ref() != Ok(&task), &OF_OUTPUT);
        Ok(task)
    }

    pub(crate) fn fits(&self, port: &Port) -> bool {
        match self {
            Self::ImageClassification | Self::FeatureExtraction => vector(port).is_some(),
            Self::ObjectDetection => port.element().is_some(),
            Self::Other(_) => port.arrow_type().is_some(),
        }
    }

    /// The accepted outputs, as the end of a sentence.
    pub(crate) fn needs(&self) -> &'static str {
        match self {
            Self::ImageClassification => "float32 or float16 [batch, classes]",
            Self::FeatureExtraction => "float32 or float16 [batch, dimensions]",
            Self::ObjectDetection => "float32, float16 or uint8",
            Self::Other(_) => "numbers or text",
        }
    }
}

/// Returns the vector dimension, if `port` has one vector per image.
pub(crate) fn vector(port: &Port) -> Option<&Dim> {
    let floats = matches!(port.element(), Some(Element::F32 | Element::F16));
    match port.dims.as_deref()? {
        [_, length] | [_, length, Dim::Fixed(1), Dim::Fixed(1)] if floats => Some(length),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tasks_are_accepted() {
        assert_eq!("Depth-Estimation".parse(), Ok(Task::Other("depth-estimation".to_string())));
        assert_eq!("text-classification".parse(), Ok(Task::Other("text-classification".to_string())));
        assert_eq!("Image-Classification".parse(), Ok(Task::ImageClassification));
    }

    #[test]
    fn mistyped_task_is_rejected() {
        let error = "image_clasification".parse::<Task>().map_err(|error| error.to_string());
        let expected =
            "'image_clasification' is not one of image-classification, feature-extraction, object-detection";
        assert_eq!(error, Err(expected.to_string()));
    }
}
