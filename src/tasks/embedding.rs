//! The output that `embed` returns.
//!
//! | model | vector |
//! |---|---|
//! | any, with the option `embedding` | the output of that name |
//! | for `feature-extraction` | the `output` |
//! | any other | the first output besides `output` that is `[batch, dimensions]` or `[batch, dimensions, 1, 1]` |

use serde::{Deserialize, Serialize};

use super::output::{MAX_CLASSES, OutputSpec};
use super::task::{Task, vector};
use crate::Result;
use crate::model::onnx::{Dim, Graph, Port, listed};
use crate::model::settings::{Settings, Source, text};

/// The output with the vector of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpec {
    /// Name of the output in the graph.
    pub name: String,
    /// Dimensions of the vector, at most 2^24.
    pub length: usize,
}

impl EmbeddingSpec {
    /// Resolves the option `embedding`; `None` if the model has no suitable output.
    ///
    /// # Errors
    /// If the option names an output that does not exist or is not a vector of fixed length.
    pub(crate) fn resolve(
        settings: &mut Settings<'_>,
        graph: &Graph,
        task: &Task,
        output: &OutputSpec,
    ) -> Result<Option<Self>> {
        if let Some((name, source)) = settings.get("embedding", |value, _| text(value))? {
            let port = graph.outputs.iter().find(|port| port.name == name);
            let Some(embedding) = port.and_then(Self::of) else {
                let reason = format!(
                    "there is no output '{name}' that is float32 or float16 [batch, dimensions]; there {}",
                    listed(&graph.outputs)
                );
                return Err(settings.option_error("embedding", &reason));
            };
            settings.note("embedding", &name, source);
            return Ok(Some(embedding));
        }
        if *task == Task::FeatureExtraction {
            return Ok(Some(Self { name: output.name.clone(), length: output.classes }));
        }
        let others = graph.outputs.iter().filter(|port| port.name != output.name);
        let embedding = others.filter_map(Self::of).next();
        if let Some(embedding) = &embedding {
            settings.note("embedding", &embedding.name, Source::Graph);
        }
        Ok(embedding)
    }

    fn of(port: &Port) -> Option<Self> {
        let length = vector(port).and_then(Dim::fixed).filter(|length| *length <= MAX_CLASSES)?;
        Some(Self { name: port.name.clone(), length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Folder, Onnx};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn classifier() -> Onnx {
        Onnx::classifier("b,3,8,8", 2)
            .output("hidden", "float32", "b,197,64")
            .output("features", "float32", "b,64")
            .output("pooled", "float16", "b,32,1,1")
    }

    #[test]
    fn embedding_is_a_classifiers_second_vector_output() -> TestResult {
        let folder = Folder::with(&classifier())?;
        let embedding = |options: &[_]| folder.resolve(options).map(|spec| spec.embedding);
        let named = |name: &str, length| Some(EmbeddingSpec { name: name.to_owned(), length });
        assert_eq!(embedding(&[])?, named("features", 64));
        assert_eq!(embedding(&[("embedding", "pooled")])?, named("pooled", 32));
        assert_eq!(embedding(&[("embedding", "logits")])?, named("logits", 2));
        assert_eq!(embedding(&[("task", "feature-extraction"), ("output", "pooled")])?, named("pooled", 32));
        assert_eq!(Folder::classifier()?.resolve(&[])?.embedding, None);
        Ok(())
    }

    #[test]
    fn embedding_must_be_a_vector() -> TestResult {
        let error = Folder::with(&classifier())?.error(&[("embedding", "hidden")]);
        let expected =
            "model 'm': option 'embedding': there is no output 'hidden' that is float32 or float16";
        assert!(error.starts_with(expected), "{error}");
        Ok(())
    }
}
