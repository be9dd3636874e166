//! What a model is for, and which outputs fit that.

use std::fmt;
use std::str::FromStr;

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;

use crate::Result;
use crate::model::onnx::{Dim, Element, Graph, Port, listed};
use crate::model::settings::{Settings, Source, UnknownKeyword, keyword};

/// Options that say how the output for one task is read, and nothing about another task's.
const OF_OUTPUT: [&str; 5] = ["labels", "background", "activation", "output", "embedding"];

/// The task of a graph without an image.
const PREDICTION: &str = "prediction";

/// What a model is for, by the names Hugging Face gives to tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Task {
    /// One score a class; `classify` and `classify_top_k`.
    ImageClassification,
    /// One vector an image; `embed`.
    FeatureExtraction,
    /// Boxes with a class each; `detect`.
    ObjectDetection,
    /// Anything else, for `predict`; in lower case.
    Other(String),
}

impl Task {
    const NAMED: [Self; 3] = [Self::ImageClassification, Self::FeatureExtraction, Self::ObjectDetection];

    /// Words at least this similar (0 to 1) to a named task are typing errors rather than tasks of their own:
    /// two letters in twenty differ, whereas `text-classification` scores 0.75 against `image-classification`.
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

/// A task is any word, but a near miss of a named one is refused.
impl FromStr for Task {
    type Err = UnknownKeyword;

    fn from_str(text: &str) -> Result<Self, UnknownKeyword> {
        let word = text.trim().to_ascii_lowercase();
        let similarity = |task: &Self| normalized_levenshtein(&task.to_string(), &word);
        if let Some(task) = Self::NAMED.into_iter().find(|task| task.to_string() == word) {
            return Ok(task);
        }
        if word.is_empty() || Self::NAMED.iter().any(|task| similarity(task) >= Self::TYPO) {
            let allowed = Self::NAMED.map(|task| task.to_string()).join(", ");
            return Err(UnknownKeyword { given: text.to_string(), allowed });
        }
        Ok(Self::Other(word))
    }
}

impl Task {
    /// Resolves what the model is for, if nobody says it: a graph with an image and one score a class classifies, one
    /// without an image is for `predict`.
    pub(crate) fn resolve(settings: &mut Settings<'_>, graph: &Graph, has_image: bool) -> Result<Self> {
        let scores = graph.outputs.iter().any(|port| Self::ImageClassification.fits(port));
        let said = settings.get("task", |value, _| keyword(value))?;
        // Hugging Face's files speak of text models in the words for image models.
        let said =
            said.filter(|(_, source)| has_image || matches!(source, Source::Options | Source::SeequelJson));
        let obvious = match has_image {
            true => scores.then_some(Self::ImageClassification),
            false => Some(Self::Other(PREDICTION.to_owned())),
        };
        let Some((task, source)) = said.or_else(|| obvious.map(|task| (task, Source::Graph))) else {
            let reason = "nothing says what the model is for; set it to image-classification, feature-extraction, \
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
        settings.retain_task(|said| keyword(said).as_ref() != Ok(&task), &OF_OUTPUT);
        Ok(task)
    }

    pub(crate) fn fits(&self, port: &Port) -> bool {
        match self {
            Self::ImageClassification | Self::FeatureExtraction => vector(port).is_some(),
            Self::ObjectDetection => port.element().is_some(),
            Self::Other(_) => port.arrow_type().is_some(),
        }
    }

    /// The end of a sentence on what fits.
    pub(crate) fn needs(&self) -> &'static str {
        match self {
            Self::ImageClassification => "float32 or float16 [batch, classes]",
            Self::FeatureExtraction => "float32 or float16 [batch, dimensions]",
            Self::ObjectDetection => "float32, float16 or uint8",
            Self::Other(_) => "numbers or text",
        }
    }
}

/// Returns the dimension that counts, if a port gives one vector an image.
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
    fn a_task_of_its_own_is_kept() {
        assert_eq!("Depth-Estimation".parse(), Ok(Task::Other("depth-estimation".to_string())));
        assert_eq!("text-classification".parse(), Ok(Task::Other("text-classification".to_string())));
        assert_eq!("Image-Classification".parse(), Ok(Task::ImageClassification));
    }

    #[test]
    fn a_mistyped_task_is_refused() {
        let error = "image_clasification".parse::<Task>().map_err(|error| error.to_string());
        let expected =
            "'image_clasification' is not one of image-classification, feature-extraction, object-detection";
        assert_eq!(error, Err(expected.to_string()));
    }
}
