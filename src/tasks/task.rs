//! The task of a model: its names, and the outputs it accepts.

use std::fmt;
use std::str::FromStr;

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, evidence};
use crate::Result;
use crate::model::onnx::{Dim, Graph, Port, listed};
use crate::model::settings::{Settings, Source, keyword};

/// Options for the output of one task, which don't apply to another task.
const OF_OUTPUT: [&str; 5] = ["labels", "background", "activation", "output", "embedding"];

/// The task of a graph for `predict` only.
const PREDICTION: &str = "prediction";

/// What a model is for, named as by Hugging Face.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The names of the tasks, each first as it is displayed; `_` and spaces count as `-`.
const NAMES: [(Task, &[&str]); 3] = [
    (
        Task::ImageClassification,
        &["image-classification", "classification", "image-classifier", "classifier", "classify"],
    ),
    (
        Task::FeatureExtraction,
        &[
            "feature-extraction",
            "image-feature-extraction",
            "feature-extractor",
            "features",
            "image-embedding",
            "image-embeddings",
            "embedding",
            "embeddings",
            "embed",
        ],
    ),
    (Task::ObjectDetection, &["object-detection", "detection", "object-detector", "detector", "detect"]),
];

/// Names at least this similar (0 to 1) to a task's count as typos rather than other tasks: two letters in twenty may
/// differ, whereas `text-classification` scores 0.75 against `image-classification`.
const TYPO: f64 = 0.85;

/// A task that is probably mistyped, or empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no task; {hint}")]
pub struct UnknownTask {
    given: String,
    hint: String,
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

/// Accepts any name, except likely typos of a task's.
impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(text: &str) -> Result<Self, UnknownTask> {
        let name = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
        let unknown = |hint| Err(UnknownTask { given: text.to_string(), hint });
        if let Some((task, _)) = NAMES.into_iter().find(|(_, names)| names.contains(&name.as_str())) {
            return Ok(task);
        }
        if name.is_empty() {
            return unknown(format!("the tasks are {}", Self::listed()));
        }
        let known = NAMES.into_iter().flat_map(|(_, names)| names);
        let nearest = known.map(|known| (normalized_levenshtein(known, &name), known));
        match nearest.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((similarity, known)) if similarity >= TYPO => unknown(format!("did you mean '{known}'?")),
            _ => Ok(Self::Other(name)),
        }
    }
}

impl Task {
    /// Resolves the task. By default it is what the [`evidence`] in the outputs of a graph with an image shows; one
    /// without an image is for `predict`. `labels` is the number of labels that are given.
    ///
    /// # Errors
    /// If there is no default, or the task needs an image and the graph takes none.
    pub(crate) fn resolve(
        settings: &mut Settings<'_>,
        graph: &Graph,
        has_image: bool,
        labels: Option<usize>,
    ) -> Result<Self> {
        let given = settings.get("task", |value, _| keyword(value))?;
        // Hugging Face's files use the names of image tasks for text models, too.
        let given =
            given.filter(|(_, source)| has_image || matches!(source, Source::Options | Source::SeequelJson));
        let found = match (given, has_image) {
            (Some((task, source)), _) => Some((task, source, None)),
            (None, true) => evidence(graph, labels).map(|found| {
                let Evidence { task, is_certain, reason } = found;
                let task = task.unwrap_or_else(|| Self::Other(PREDICTION.to_owned()));
                (task, if is_certain { Source::Graph } else { Source::Default }, Some(reason))
            }),
            (None, false) => {
                let reason = "it takes no image".to_owned();
                Some((Self::Other(PREDICTION.to_owned()), Source::Graph, Some(reason)))
            }
        };
        let Some((task, source, reason)) = found else {
            let reason = format!(
                "the task is unknown, as no output is one vector for an image; there {}; set the task to {}, or to any \
                 other word for predict",
                listed(&graph.outputs),
                Self::listed()
            );
            return Err(settings.option_error("task", &reason));
        };
        if !has_image && !matches!(task, Self::Other(_)) {
            let inputs = listed(&graph.inputs);
            let reason = format!(
                "{task} takes an image, which is float32, float16 or integers of 4 dimensions, one of them 1 or 3 \
                 channels; but the model's input {inputs}"
            );
            return Err(settings.option_error("task", &reason));
        }
        settings.note("task", &task, source);
        if let Some(reason) = reason {
            settings.explain("task", &reason);
        }
        settings.retain_task(|value| keyword(value).as_ref() != Ok(&task), &OF_OUTPUT);
        Ok(task)
    }

    /// The tasks that have functions of their own.
    fn listed() -> String {
        NAMES.map(|(task, _)| task.to_string()).join(", ")
    }

    pub(crate) fn fits(&self, port: &Port) -> bool {
        match self {
            Self::ImageClassification | Self::FeatureExtraction => vector(port).is_some(),
            Self::ObjectDetection => port.has_floats(),
            Self::Other(_) => port.arrow_type().is_some(),
        }
    }

    /// The accepted outputs, as the end of a sentence.
    pub(crate) fn needs(&self) -> &'static str {
        match self {
            Self::ImageClassification => "float32 or float16 [batch, classes]",
            Self::FeatureExtraction => "float32 or float16 [batch, dimensions]",
            Self::ObjectDetection => "float32 or float16",
            Self::Other(_) => "numbers or text",
        }
    }
}

/// Returns the vector dimension, if `port` has one vector per image.
pub(crate) fn vector(port: &Port) -> Option<&Dim> {
    match port.dims.as_deref()? {
        [_, length] | [_, length, Dim::Fixed(1), Dim::Fixed(1)] if port.has_floats() => Some(length),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pipelines_and_short_names_are_understood() {
        let task = |text: &str| text.parse::<Task>().unwrap();
        for name in
            ["Image-Classification", "image_classification", " image classification", "classification"]
        {
            assert_eq!(task(name), Task::ImageClassification, "{name}");
        }
        for name in ["image-feature-extraction", "embedding", "Embeddings", "feature_extraction"] {
            assert_eq!(task(name), Task::FeatureExtraction, "{name}");
        }
        for name in ["object detection", "Detection", "OBJECT_DETECTION"] {
            assert_eq!(task(name), Task::ObjectDetection, "{name}");
        }
        for (task, names) in NAMES {
            assert_eq!(task.to_string(), names[0]);
        }
    }

    #[test]
    fn other_tasks_are_accepted() {
        for name in [
            "depth-estimation",
            "text-classification",
            "video-classification",
            "zero-shot-image-classification",
            "zero-shot-object-detection",
            "image-segmentation",
            "keypoint-detection",
            "prediction",
        ] {
            assert_eq!(name.parse(), Ok(Task::Other(name.to_string())));
        }
        assert_eq!("Depth_Estimation".parse(), Ok(Task::Other("depth-estimation".to_string())));
    }

    #[test]
    fn mistyped_task_is_rejected_with_the_nearest() {
        let error =
            |text: &str| text.parse::<Task>().err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(
            error("image_clasification"),
            "'image_clasification' is no task; did you mean 'image-classification'?"
        );
        assert_eq!(error("embeding"), "'embeding' is no task; did you mean 'embedding'?");
        assert_eq!(
            error("object-detecton"),
            "'object-detecton' is no task; did you mean 'object-detection'?"
        );
        assert_eq!(
            error(" "),
            "' ' is no task; the tasks are image-classification, feature-extraction, object-detection"
        );
    }
}
