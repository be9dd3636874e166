//! The task of a model for images that nothing names: what the outputs of the graph show.
//!
//! For each output that is one vector for an image, the first line that applies decides; a graph with an output of scores
//! is a classifier, whatever its other outputs are:
//!
//! | evidence | task |
//! |---|---|
//! | labels are given | image-classification |
//! | the last operator is a softmax or sigmoid | image-classification |
//! | the vector is divided by its length | feature-extraction |
//! | the name speaks of logits, scores, probabilities, classes, predictions | image-classification |
//! | the name speaks of embeddings, features, a pool, hidden states | feature-extraction |
//! | as many numbers as a well-known set has classes | image-classification |
//! | one number, which no function reads | for `predict` |
//! | a multiple of 64, from 128 on | feature-extraction, assumed |
//! | any other count | image-classification, assumed |
//!
//! The last two lines are guesses. A classifier that is taken for an extractor of features fails at the first call of
//! `classify`, with a message that says what to set; an extractor that is taken for a classifier would return numbers of
//! dimensions as classes. So a count that is usual for vectors is taken for one.

use super::task::{Task, vector};
use crate::model::onnx::{Dim, Graph, Port};

/// Numbers of classes of ImageNet-1k, also with a background, ImageNet-21k and -12k with and without it or pruned.
const CLASS_COUNTS: [usize; 6] = [1000, 1001, 11_221, 11_821, 21_841, 21_843];

/// Lengths of vectors are multiples of this.
const VECTOR_STEP: usize = 64;

/// Parts of names that speak of scores of classes.
const CLASS_WORDS: [&str; 7] = ["logit", "score", "prob", "class", "softmax", "predict", "label"];

/// Parts of names that speak of vectors.
const VECTOR_WORDS: [&str; 8] =
    ["embed", "feature", "pool", "hidden", "latent", "represent", "descriptor", "vector"];

/// Operators between a vector's length and the division by it, along their first inputs.
const BETWEEN_LENGTH_AND_DIVISION: [&str; 8] =
    ["Identity", "Cast", "Clip", "Max", "Expand", "Unsqueeze", "Reshape", "Add"];

/// What the outputs of a graph show.
#[derive(Debug, PartialEq)]
pub(crate) struct Evidence {
    /// The task; `None` stands for one that only `predict` serves.
    pub(crate) task: Option<Task>,
    /// Whether it is more than a guess by the count of numbers.
    pub(crate) is_certain: bool,
    /// What shows it, as the end of a sentence.
    pub(crate) reason: String,
}

/// The evidence in the outputs of a graph that takes an image; `None` if no output is one vector for an image. `labels`
/// is the number of labels that are given.
pub(crate) fn evidence(graph: &Graph, labels: Option<usize>) -> Option<Evidence> {
    let vectors: Vec<_> = graph.outputs.iter().filter(|port| vector(port).is_some()).collect();
    let first = vectors.first()?;
    if let Some(count) = labels {
        let (task, reason) = (Some(Task::ImageClassification), format!("{count} labels are given"));
        return Some(Evidence { task, is_certain: true, reason });
    }
    let shown: Vec<_> = vectors.iter().filter_map(|port| shown(graph, port)).collect();
    let scores = shown.iter().find(|(task, _)| *task == Task::ImageClassification);
    if let Some((task, reason)) = scores.or_else(|| shown.first()).cloned() {
        return Some(Evidence { task: Some(task), is_certain: true, reason });
    }
    let count = vector(first).and_then(Dim::fixed);
    let (task, is_certain, reason) = match count {
        Some(1) => (None, true, format!("output '{}' is one number, not scores of classes", first.name)),
        Some(count) if count >= 2 * VECTOR_STEP && count.is_multiple_of(VECTOR_STEP) => {
            let reason =
                format!("{count} numbers, which output '{}' has, are a usual length of a vector", first.name);
            (Some(Task::FeatureExtraction), false, reason)
        }
        _ => {
            let reason = format!("output '{}' may be scores of classes", first.name);
            (Some(Task::ImageClassification), false, reason)
        }
    };
    Some(Evidence { task, is_certain, reason })
}

/// Whether an output shows that it is for `task`.
pub(crate) fn speaks_for(graph: &Graph, task: &Task, port: &Port) -> bool {
    vector(port).is_some() && shown(graph, port).is_some_and(|(shown, _)| shown == *task)
}

/// What an output shows, and the reason.
fn shown(graph: &Graph, port: &Port) -> Option<(Task, String)> {
    CLUES.iter().find_map(|clue| clue(graph, port))
}

/// Reads one kind of evidence in an output: the task, and the reason.
type Clue = fn(&Graph, &Port) -> Option<(Task, String)>;

/// Strongest first.
const CLUES: [Clue; 4] = [last_operator, division_by_length, name, class_count];

fn last_operator(graph: &Graph, port: &Port) -> Option<(Task, String)> {
    let operator = graph.ends_in(&port.name)?;
    let is_activation = matches!(operator, "Softmax" | "LogSoftmax" | "Sigmoid");
    let is_one = vector(port).and_then(Dim::fixed) == Some(1);
    (is_activation && !is_one)
        .then(|| (Task::ImageClassification, format!("output '{}' ends in {operator}", port.name)))
}

fn division_by_length(graph: &Graph, port: &Port) -> Option<(Task, String)> {
    let node = graph.origin(&port.name, &["Identity", "Cast", "Reshape", "Flatten", "Squeeze"])?;
    let is_normalised = match node.operator.as_str() {
        "LpNormalization" => true,
        "Div" => {
            let divisor = graph.origin(node.inputs.get(1)?, &BETWEEN_LENGTH_AND_DIVISION);
            divisor.is_some_and(|divisor| divisor.operator == "ReduceL2")
        }
        _ => false,
    };
    is_normalised
        .then(|| (Task::FeatureExtraction, format!("output '{}' is divided by its length", port.name)))
}

/// The word that comes last decides: a `class_embedding` is a vector, `embedding_scores` are scores.
fn name(_: &Graph, port: &Port) -> Option<(Task, String)> {
    let name = port.name.to_ascii_lowercase();
    let last = |words: &[&str]| words.iter().filter_map(|word| name.rfind(word)).max();
    let is_one = vector(port).and_then(Dim::fixed) == Some(1);
    let (task, what) = match (last(&CLASS_WORDS), last(&VECTOR_WORDS)) {
        (None, None) => return None,
        (class, vector) if class > vector => (Task::ImageClassification, "scores of classes"),
        _ => (Task::FeatureExtraction, "a vector"),
    };
    (!is_one).then(|| (task, format!("output '{}' is named as {what}", port.name)))
}

fn class_count(_: &Graph, port: &Port) -> Option<(Task, String)> {
    let count = vector(port)?.fixed().filter(|count| CLASS_COUNTS.contains(count))?;
    let reason = format!("output '{}' has {count} numbers, as ImageNet has classes", port.name);
    Some((Task::ImageClassification, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Onnx;

    /// The task of a graph with outputs of these names and shapes that end in `operator`, and its reason.
    fn task(operator: &str, outputs: &[(&str, &str)]) -> Option<(String, bool, String)> {
        let onnx = Onnx::new();
        let onnx = outputs.iter().fold(onnx, |onnx, (name, shape)| {
            onnx.node(operator, &["x"], name).output(name, "float32", shape)
        });
        let graph = Graph::read(onnx.bytes()).unwrap();
        let found = evidence(&graph, None)?;
        let task = found.task.map_or_else(|| "predict".to_owned(), |task| task.to_string());
        Some((task, found.is_certain, found.reason))
    }

    fn described(operator: &str, outputs: &[(&str, &str)]) -> String {
        match task(operator, outputs) {
            Some((task, is_certain, reason)) => {
                format!("{task}{}: {reason}", if is_certain { "" } else { ", assumed" })
            }
            None => "unknown".to_owned(),
        }
    }

    #[test]
    fn names_operators_and_counts_are_evidence() {
        let shown = [
            described("Softmax", &[("embedding", "b,512")]),
            described("LpNormalization", &[("y", "b,10")]),
            described("Gemm", &[("logits", "b,512")]),
            described("Gemm", &[("image_embeds", "b,10")]),
            described("Gemm", &[("last_hidden_state", "b,768"), ("y", "b,197,768")]),
            described("Gemm", &[("class_embedding", "b,768,1,1")]),
            described("Gemm", &[("495", "b,1000")]),
            described("Gemm", &[("features", "b,1280"), ("logits", "b,1000")]),
            described("Gemm", &[("features", "b,1280"), ("495", "b,1000")]),
        ];
        insta::assert_snapshot!(shown.join("\n"), @r"
        image-classification: output 'embedding' ends in Softmax
        feature-extraction: output 'y' is divided by its length
        image-classification: output 'logits' is named as scores of classes
        feature-extraction: output 'image_embeds' is named as a vector
        feature-extraction: output 'last_hidden_state' is named as a vector
        feature-extraction: output 'class_embedding' is named as a vector
        image-classification: output '495' has 1000 numbers, as ImageNet has classes
        image-classification: output 'logits' is named as scores of classes
        image-classification: output '495' has 1000 numbers, as ImageNet has classes
        ");
    }

    #[test]
    fn without_evidence_the_count_decides_and_is_assumed() {
        let shown = [
            described("Gemm", &[("y", "b,512")]),
            described("Gemm", &[("y", "b,128")]),
            described("Gemm", &[("y", "b,64")]),
            described("Gemm", &[("y", "b,5")]),
            described("Gemm", &[("y", "b,n")]),
            described("Sigmoid", &[("y", "b,1")]),
            described("Gemm", &[("y", "b,3,8,8")]),
        ];
        insta::assert_snapshot!(shown.join("\n"), @r"
        feature-extraction, assumed: 512 numbers, which output 'y' has, are a usual length of a vector
        feature-extraction, assumed: 128 numbers, which output 'y' has, are a usual length of a vector
        image-classification, assumed: output 'y' may be scores of classes
        image-classification, assumed: output 'y' may be scores of classes
        image-classification, assumed: output 'y' may be scores of classes
        predict: output 'y' is one number, not scores of classes
        unknown
        ");
    }

    #[test]
    fn division_by_the_length_is_found_behind_its_bounds() {
        let onnx = Onnx::new()
            .node("ReduceL2", &["v"], "length")
            .node("Clip", &["length", "least"], "bounded")
            .node("Expand", &["bounded", "shape"], "spread")
            .node("Div", &["v", "spread"], "y")
            .output("y", "float32", "b,10");
        let graph = Graph::read(onnx.bytes()).unwrap();
        assert_eq!(evidence(&graph, None).unwrap().task, Some(Task::FeatureExtraction));
        assert_eq!(evidence(&graph, Some(10)).unwrap().task, Some(Task::ImageClassification));
    }
}
