//! The output of a graph that predictions are read from: named by the option `output`, else chosen by the task.
//!
//! | task | accepted output |
//! |---|---|
//! | `image-classification` | `[batch, classes]` or `[batch, classes, 1, 1]` of float32 or float16 |
//! | `feature-extraction` | `[batch, dimensions]` or `[batch, dimensions, 1, 1]` of float32 or float16 |
//! | `object-detection` | any of float32 or float16 |
//! | others | any of numbers or text |
//!
//! Of several accepted outputs, the first whose name, last operators or length show that it is for the task is chosen,
//! else the first.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evidence::speaks_for;
use super::labels::FoundLabels;
use super::task::{Task, vector};
use crate::Result;
use crate::model::onnx::{Dim, Graph, Port, listed};
use crate::model::settings::{Settings, Source, keyword, keywords, text};

/// Maximum count of numbers per image: 64 MiB of float32, more than any classifier or embedding has.
pub(crate) const MAX_CLASSES: usize = 1 << 24;

/// The output tensor of a model, and how to interpret it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// Name of the output in the graph.
    pub name: String,
    /// Classes for [`Task::ImageClassification`], dimensions of the vector for [`Task::FeatureExtraction`]
    /// (both from a tensor `[batch, classes]` or `[batch, classes, 1, 1]`), else the number of labels.
    pub classes: usize,
    /// The activation to apply to the numbers.
    pub activation: Activation,
}

keywords! {
    /// The function that converts a model's outputs to scores.
    pub enum Activation {
        /// Scores of all classes sum to 1.
        Softmax = "softmax",
        /// Each score is between 0 and 1, independent of the others.
        Sigmoid = "sigmoid",
        /// The numbers are scores already.
        None = "none",
    }
}

impl OutputSpec {
    /// Resolves the output options.
    ///
    /// # Errors
    /// If no output fits the task or the labels.
    pub(crate) fn resolve(
        settings: &mut Settings<'_>,
        graph: &Graph,
        task: &Task,
        labels: &FoundLabels,
    ) -> Result<Self> {
        let port = choose(settings, graph, task)?;
        let classes = classes(settings, task, port, labels)?;
        let activation = activation(settings, graph, task, &port.name)?;
        Ok(Self { name: port.name.clone(), classes, activation })
    }
}

fn choose<'a>(settings: &mut Settings<'_>, graph: &'a Graph, task: &Task) -> Result<&'a Port> {
    if let Some((name, source)) = settings.get("output", |value, _| text(value))? {
        let port = graph.outputs.iter().find(|port| port.name == name);
        let port = port.ok_or_else(|| {
            let reason = format!("there is no output '{name}'; there {}", listed(&graph.outputs));
            settings.option_error("output", &reason)
        })?;
        settings.note("output", &name, source);
        return if task.fits(port) { Ok(port) } else { Err(unfit(settings, task, port)) };
    }
    let mut fitting = graph.outputs.iter().filter(|port| task.fits(port));
    let best = fitting.clone().find(|port| speaks_for(graph, task, port));
    let port = best.or_else(|| fitting.next()).ok_or_else(|| {
        let (needs, outputs) = (task.needs(), listed(&graph.outputs));
        settings.model_error(format!("no output fits task '{task}': it needs {needs}, but there {outputs}"))
    })?;
    // `predict` returns all outputs.
    if !matches!(task, Task::Other(_)) {
        settings.note("output", &port.name, Source::Graph);
    }
    Ok(port)
}

fn unfit(settings: &Settings<'_>, task: &Task, port: &Port) -> crate::Error {
    let reason = format!("output {port} does not fit task '{task}', which needs {}", task.needs());
    settings.option_error("output", &reason)
}

/// Returns the count of numbers per image, as described in [`OutputSpec::classes`].
fn classes(settings: &Settings<'_>, task: &Task, port: &Port, labels: &FoundLabels) -> Result<usize> {
    let named = labels.labels.len();
    match (task, vector(port).and_then(Dim::fixed)) {
        (Task::ObjectDetection | Task::Other(_), _) => Ok(named),
        (_, Some(length)) if length > MAX_CLASSES => {
            Err(settings.model_error(format!("output {port} is longer than {MAX_CLASSES} numbers an image")))
        }
        (Task::ImageClassification, Some(length)) if named > 0 && named != length => {
            let (place, output, s) = (&labels.place, &port.name, if named == 1 { "" } else { "s" });
            let hint = if named + 1 == length {
                "; if one of them is the background, set background to 'first' or 'last'"
            } else {
                ""
            };
            let reason =
                format!("{place} has {named} label{s} but output '{output}' has {length} classes{hint}");
            Err(settings.option_error("labels", &reason))
        }
        (_, Some(length)) => Ok(length),
        (Task::ImageClassification, None) if named > 0 => Ok(named),
        (Task::ImageClassification, None) => {
            let reason = format!("output {port} does not say how many classes there are; name them");
            Err(settings.option_error("labels", &reason))
        }
        (Task::FeatureExtraction, None) => {
            Err(settings.model_error(format!("output {port} does not say how long its vectors are")))
        }
    }
}

/// Resolves the activation: by default a softmax for classifiers, unless the graph ends in a softmax or sigmoid. After
/// a LogSoftmax, the default softmax gives the probabilities.
fn activation(settings: &mut Settings<'_>, graph: &Graph, task: &Task, output: &str) -> Result<Activation> {
    let has_scores = matches!(graph.ends_in(output), Some("Softmax" | "Sigmoid"));
    let (automatic, source) = match task {
        Task::ImageClassification if has_scores => (Activation::None, Source::Graph),
        Task::ImageClassification => (Activation::Softmax, Source::Default),
        _ => (Activation::None, Source::Default),
    };
    let given = settings.get("activation", |value, _| explicit(value))?;
    let (activation, source) = match given {
        Some((Some(activation), source)) => (activation, source),
        _ => (automatic, source),
    };
    if *task == Task::ImageClassification {
        settings.note("activation", &activation, source);
    }
    Ok(activation)
}

/// Reads an activation; `None` means `auto`.
fn explicit(value: &Value) -> Result<Option<Activation>, String> {
    if text(value)?.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    keyword(value).map(Some).map_err(|reason| format!("{reason}, auto"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Onnx, options};

    fn resolve(onnx: &Onnx, pairs: &[(&str, &str)], names: usize) -> Result<(Task, OutputSpec), String> {
        let graph = Graph::read(onnx.bytes())?;
        let labels = vec![String::new(); names].into();
        let labels = FoundLabels { labels, place: "labels.txt".to_string() };
        let resolved = options(pairs).and_then(|mut settings| {
            let task = Task::resolve(&mut settings, &graph, true, None)?;
            let output = OutputSpec::resolve(&mut settings, &graph, &task, &labels)?;
            Ok((task, output))
        });
        resolved.map_err(|error| error.to_string())
    }

    fn error(onnx: &Onnx, options: &[(&str, &str)], names: usize) -> String {
        resolve(onnx, options, names).err().unwrap_or_default()
    }

    /// A graph with the outputs `hidden` of three dimensions, `logits` of 10 classes and `features` of 64 dimensions.
    fn many() -> Onnx {
        Onnx::new()
            .node("Gemm", &["x"], "logits")
            .output("hidden", "float32", "b,197,64")
            .output("logits", "float16", "b,10,1,1")
            .output("features", "float32", "b,64")
    }

    fn classifier(operator: &str) -> Onnx {
        Onnx::new().node(operator, &["x"], "y").output("y", "float32", "b,10")
    }

    #[test]
    fn output_is_chosen_by_the_task() -> Result<(), String> {
        let (task, output) = resolve(&many(), &[], 10)?;
        let expected =
            OutputSpec { name: "logits".to_string(), classes: 10, activation: Activation::Softmax };
        assert_eq!((task, output), (Task::ImageClassification, expected));
        let (_, features) = resolve(&many(), &[("task", "feature-extraction")], 0)?;
        assert_eq!(features.name, "features");
        let (_, features) = resolve(&many(), &[("task", "feature-extraction"), ("output", "features")], 0)?;
        assert_eq!((features.classes, features.activation), (64, Activation::None));
        let (_, hidden) = resolve(&many(), &[("task", "object-detection")], 80)?;
        assert_eq!((hidden.name.as_str(), hidden.classes), ("hidden", 80));
        Ok(())
    }

    #[test]
    fn activation_depends_on_the_last_operator() -> Result<(), String> {
        let activation = |operator, options: &[_]| {
            resolve(&classifier(operator), options, 0).map(|(_, out)| out.activation)
        };
        assert_eq!(activation("Gemm", &[])?, Activation::Softmax);
        assert_eq!(activation("LogSoftmax", &[])?, Activation::Softmax);
        assert_eq!(activation("Softmax", &[("activation", "Auto")])?, Activation::None);
        assert_eq!(activation("Sigmoid", &[])?, Activation::None);
        assert_eq!(activation("Sigmoid", &[("activation", "sigmoid")])?, Activation::Sigmoid);
        Ok(())
    }

    #[test]
    fn dynamic_class_count_is_taken_from_the_labels() -> Result<(), String> {
        let open = Onnx::new().node("Gemm", &["x"], "y").output("y", "float32", "b,classes");
        assert_eq!(resolve(&open, &[], 7)?.1.classes, 7);
        let errors = [error(&open, &[], 0), error(&open, &[("task", "feature-extraction")], 0)];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'labels': output 'y' float32 [b, classes] does not say how many classes there are; name them
        model 'm': output 'y' float32 [b, classes] does not say how long its vectors are
        ");
        Ok(())
    }

    #[test]
    fn errors_name_the_output() {
        let hidden = Onnx::new().node("Gemm", &["x"], "hidden").output("hidden", "float32", "b,197,64");
        let vast = Onnx::new().node("Gemm", &["x"], "y").output("y", "float32", "b,99999999999");
        let errors = [
            error(&many(), &[], 9),
            error(&many(), &[("output", "scores")], 0),
            error(&many(), &[("output", "hidden")], 0),
            error(&many(), &[("activation", "relu")], 0),
            error(&hidden, &[], 0),
            error(&hidden, &[("task", "image-classification")], 0),
            error(&vast, &[], 0),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'labels': labels.txt has 9 labels but output 'logits' has 10 classes; if one of them is the background, set background to 'first' or 'last'
        model 'm': option 'output': there is no output 'scores'; there are 'hidden' float32 [b, 197, 64], 'logits' float16 [b, 10, 1, 1], 'features' float32 [b, 64]
        model 'm': option 'output': output 'hidden' float32 [b, 197, 64] does not fit task 'image-classification', which needs float32 or float16 [batch, classes]
        model 'm': option 'activation': 'relu' is not one of softmax, sigmoid, none, auto
        model 'm': option 'task': the task is unknown, as no output is one vector for an image; there is 'hidden' float32 [b, 197, 64]; set the task to image-classification, feature-extraction, object-detection, or to any other word for predict
        model 'm': no output fits task 'image-classification': it needs float32 or float16 [batch, classes], but there is 'hidden' float32 [b, 197, 64]
        model 'm': output 'y' float32 [b, 99999999999] is longer than 16777216 numbers an image
        ");
    }
}
