//! The inputs of a graph: an image, numbers from columns, or both; and how a call's arguments are assigned to them.
//!
//! ```text
//!  predict('churn', image, age, income, history)
//!                     │      └──┬──┘      └──────► 'history' float32 [batch, 12]     a list
//!                     │         └────────────────► 'person' float32 [batch, 2]       one number each
//!                     └──────────────────────────► 'pixels' float32 [batch, 3, 224, 224]
//! ```
//!
//! Arguments follow the order of the graph's inputs.

use std::collections::BTreeSet;
use std::ops::Range;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result as PlanResult};
use seequel_udfs::check_image_type;
use serde::{Deserialize, Serialize};

use super::image::{InputSpec, image_port};
use super::numbers::NumbersSpec;
use super::preprocessing::Preprocessing;
use crate::Result;
use crate::model::onnx::{Dim, Graph, Port, listed};
use crate::model::settings::Settings;

/// Largest batch, from a graph or an option: far larger than useful, and small enough that no product overflows.
pub(crate) const MAX_BATCH: usize = 65_536;

/// One input of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ModelInput {
    /// Takes an image.
    Image(ImageSpec),
    /// Takes numbers from columns.
    Numbers(NumbersSpec),
}

/// An input that takes an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The tensor the model takes.
    pub input: InputSpec,
    /// How an image is converted to that tensor.
    pub preprocessing: Preprocessing,
}

/// Positions of the call's arguments that each input of the model takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Assignment {
    pub(crate) image: Option<usize>,
    /// One range per input that takes numbers, in the order of the graph.
    pub(crate) numbers: Vec<Range<usize>>,
}

impl ModelInput {
    /// Resolves all inputs of a graph, with the image options.
    ///
    /// # Errors
    /// More than one image, an input that is neither an image nor numbers, and invalid options.
    pub(crate) fn resolve_all(settings: &mut Settings<'_>, graph: &Graph) -> Result<Vec<Self>> {
        if graph.inputs.is_empty() {
            return Err(settings.model_error("takes no input"));
        }
        let image = image_port(graph).map_err(|reason| settings.model_error(reason))?;
        if image.is_none() {
            settings.refuse_image_options(&format!(
                "the model takes no image; its input {}",
                listed(&graph.inputs)
            ))?;
        }
        let input = |port: &Port| {
            if image.is_some_and(|image| image.name == port.name) {
                let input = InputSpec::resolve(settings, graph, port)?;
                let preprocessing = Preprocessing::resolve(settings, &input, graph)?;
                return Ok(Self::Image(ImageSpec { input, preprocessing }));
            }
            NumbersSpec::new(port).map(Self::Numbers).map_err(|reason| settings.model_error(reason))
        };
        graph.inputs.iter().map(input).collect()
    }

    /// As in `224x224` or `'x' float32 [batch, 4]`.
    pub(crate) fn display(&self) -> String {
        match self {
            Self::Image(image) => format!("{}x{}", image.input.width, image.input.height),
            Self::Numbers(numbers) => numbers.port.to_string(),
        }
    }
}

/// Batch size fixed by the inputs of a graph; `None` if it is dynamic. A graph that compares the rows of a batch with
/// each other, such as images with texts, gets one row at a time.
///
/// # Errors
/// If the inputs contradict each other, or the batch is too large.
pub(crate) fn fixed_batch(settings: &Settings<'_>, graph: &Graph) -> Result<Option<usize>> {
    let batch = |port: &Port| port.dims.as_deref()?.first()?.fixed();
    let Some(first) = graph.inputs.iter().find(|port| batch(port).is_some()) else {
        return Ok(crosses_rows(graph).then_some(1));
    };
    if let Some(other) =
        graph.inputs.iter().find(|port| batch(port).is_some_and(|other| Some(other) != batch(first)))
    {
        return Err(settings.model_error(format!("inputs {first} and {other} have different batches")));
    }
    match batch(first) {
        Some(large) if large > MAX_BATCH => {
            Err(settings.model_error(format!("input {first} has a batch above {MAX_BATCH}")))
        }
        batch => Ok(batch),
    }
}

/// Whether inputs differ in the name of their first dimension, or an output repeats such a name in a later dimension.
fn crosses_rows(graph: &Graph) -> bool {
    let name = |dim: &Dim| match dim {
        Dim::Dynamic(name) if name != "?" => Some(name.clone()),
        Dim::Dynamic(_) | Dim::Fixed(_) => None,
    };
    let first = |port: &Port| port.dims.as_deref()?.first().and_then(name);
    let batches: BTreeSet<_> = graph.inputs.iter().filter_map(first).collect();
    let later = graph.outputs.iter().flat_map(|port| port.dims.iter().flatten().skip(1)).filter_map(name);
    batches.len() > 1 || later.into_iter().any(|name| batches.contains(&name))
}

/// Assigns a call's arguments, of types `types`, to a model's inputs; `signature` starts error messages.
///
/// # Errors
/// A plan error if the arguments are too few, too many, or of a wrong type.
pub(crate) fn assign(
    inputs: &[ModelInput],
    signature: &str,
    model: &str,
    types: &[DataType],
) -> PlanResult<Assignment> {
    let plan_error = |reason: String| DataFusionError::Plan(format!("{signature}: model '{model}' {reason}"));
    let mut assignment = Assignment::default();
    let mut next = 0;
    for input in inputs {
        let count = match input {
            ModelInput::Image(_) => {
                types.get(next).map_or(Ok(()), |data_type| check_image_type(signature, data_type))?;
                assignment.image = Some(next);
                1
            }
            ModelInput::Numbers(numbers) => {
                let count = numbers.columns(&types[next.min(types.len())..]).map_err(plan_error)?;
                assignment.numbers.push(next..next + count);
                count
            }
        };
        next += count;
        if count == 0 || next > types.len() {
            return Err(plan_error(wrong_count(inputs, types.len())));
        }
    }
    if next == types.len() { Ok(assignment) } else { Err(plan_error(wrong_count(inputs, types.len()))) }
}

/// As in `takes an image; 2 inputs are not that`.
fn wrong_count(inputs: &[ModelInput], given: usize) -> String {
    let takes = inputs.iter().map(|input| match input {
        ModelInput::Image(_) => "an image".to_owned(),
        ModelInput::Numbers(numbers) => format!("{} as a list, or a number each", numbers.port),
    });
    let takes = takes.collect::<Vec<_>>().join(", then ");
    format!("takes {takes}; {given} {} that", if given == 1 { "input is not" } else { "inputs are not" })
}

#[cfg(test)]
mod tests {
    use crate::model::{Folder, Onnx};

    fn error(onnx: Onnx) -> String {
        let onnx = onnx.node("Gemm", &["x"], "y").output("y", "float32", "b,10");
        Folder::with(&onnx).unwrap().error(&[])
    }

    #[test]
    fn unsupported_inputs_are_rejected() {
        let image = || Onnx::new().input("x", "float32", "b,3,8,8");
        let errors = [
            error(Onnx::new()),
            error(image().input("other", "float16", "b,8,8,1")),
            error(image().input("ids", "string", "b,1")),
            error(image().input("wave", "complex64", "b,1")),
            error(Onnx::new().input("x", "float32", "")),
            error(Onnx::new().input("x", "float32", "4")),
            error(Onnx::new().input("x", "float32", "b,n,m")),
            error(Onnx::new().input("x", "float32", "b,9999999999,9999999999")),
            error(Onnx::new().input("x", "float32", "99999999999,2")),
            error(image().input("ids", "int64", "4,77").input("mask", "int64", "2,77")),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': takes no input
        model 'm': takes two images, 'x' float32 [b, 3, 8, 8] and 'other' float16 [b, 8, 8, 1]; a call can give one
        model 'm': input 'ids' string [b, 1] is text, which has no numbers before a tokenizer or an encoder makes them; export the model without that step
        model 'm': input 'wave' complex64 [b, 1] has a type that no column has
        model 'm': input 'x' float32 [] has no dimension for the batch
        model 'm': input 'x' float32 [4] is a row or a batch of rows, which its shape does not say; export it as [1, 4] or [batch, 4]
        model 'm': input 'x' float32 [b, n, m] leaves more than one length open
        model 'm': input 'x' float32 [b, 9999999999, 9999999999] is longer than 16777216 numbers a row
        model 'm': input 'x' float32 [99999999999, 2] has a batch above 65536
        model 'm': inputs 'ids' int64 [4, 77] and 'mask' int64 [2, 77] have different batches
        ");
    }

    #[test]
    fn graph_that_compares_rows_has_batch_size_one() {
        let fixed_batch = |second: &str, output: &str| {
            let onnx = Onnx::new().input("x", "float32", "n,4").input("z", "int64", second);
            let onnx = onnx.node("Gemm", &["x"], "y").output("y", "float32", output);
            Folder::with(&onnx).unwrap().resolve(&[]).unwrap().fixed_batch
        };
        assert_eq!(fixed_batch("n,7", "n,3"), None);
        assert_eq!(fixed_batch("m,7", "m,n"), Some(1));
        assert_eq!(fixed_batch("n,7", "n,n"), Some(1));
        assert_eq!(fixed_batch("?,7", "n,3"), None);
    }

    #[test]
    fn one_fixed_input_fixes_the_batch() {
        let onnx = Onnx::classifier("4,3,8,8", 10).input("age", "int64", "batch");
        let spec = Folder::with(&onnx).unwrap().resolve(&[]).unwrap();
        assert_eq!(spec.fixed_batch, Some(4));
        assert_eq!(spec.inputs.len(), 2);
    }
}
