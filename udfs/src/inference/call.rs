//! Calls of inference functions: the request and the model, read from the literal arguments.

use std::ops::Range;

use datafusion::common::{Result, ScalarValue, plan_err};

use super::function::Function;
use super::signatures;

/// What a call requests from a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub enum Request {
    /// The most probable class of an image.
    Classify,
    /// The most probable classes of an image.
    ClassifyTopK {
        /// Number of classes, at least 1.
        k: usize,
    },
    /// An image as a vector.
    Embed,
    /// The objects in an image.
    Detect,
    /// All outputs of a model.
    Predict,
    /// Why there is no prediction.
    ImageError,
    /// No model: the value of the only input, a function of an image, whose decoding `image_error` shares.
    ImageFunction,
}

impl Request {
    /// The function's signature, which starts every error about a call.
    #[must_use]
    pub fn signature(self) -> &'static str {
        match self {
            Self::Classify => signatures::CLASSIFY,
            Self::ClassifyTopK { .. } => signatures::CLASSIFY_TOP_K,
            Self::Embed => signatures::EMBED,
            Self::Detect => signatures::DETECT,
            Self::Predict => signatures::PREDICT,
            Self::ImageError => signatures::IMAGE_ERROR,
            Self::ImageFunction => "a function of an image",
        }
    }

    /// Formats a call as SQL, from the texts of its inputs.
    #[must_use]
    pub fn display(self, inputs: &[String], model: &str) -> String {
        let inputs = inputs.join(", ");
        match self {
            Self::Classify => format!("classify({inputs}, '{model}')"),
            Self::ClassifyTopK { k } => format!("classify_top_k({inputs}, {k}, '{model}')"),
            Self::Embed => format!("embed({inputs}, '{model}')"),
            Self::Detect => format!("detect({inputs}, '{model}')"),
            Self::Predict => format!("predict('{model}', {inputs})"),
            Self::ImageError if model.is_empty() => format!("image_error({inputs})"),
            Self::ImageError => format!("image_error({inputs}, '{model}')"),
            Self::ImageFunction => inputs,
        }
    }
}

/// A request to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is requested.
    pub request: Request,
    /// Name of the model; empty if the request needs none.
    pub model: String,
}

/// A call, and the positions of the arguments that are inputs of the model.
#[derive(Debug)]
pub(crate) struct ReadCall {
    pub(crate) call: Call,
    pub(crate) inputs: Range<usize>,
}

/// The arguments of a call; only literals are known during planning.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) function: &'static Function,
    /// One per argument; `None` if it is not a literal.
    pub(crate) literals: Vec<Option<&'a ScalarValue>>,
    pub(crate) default_model: &'a str,
}

impl Arguments<'_> {
    /// Reads a call on an image, which is the first argument; the optional model is the last one.
    pub(crate) fn image_call(&self, request: Request) -> Result<ReadCall> {
        let Function { signature, model: position, .. } = *self.function;
        let count = self.literals.len();
        if count < position || count > position + 1 {
            let takes = if position == 1 { "one or two" } else { "two or three" };
            return plan_err!("{signature} takes {takes} arguments, not {count}");
        }
        let model = if count > position { self.model(position)? } else { self.default_model.to_owned() };
        Ok(ReadCall { call: Call { request, model }, inputs: 0..1 })
    }

    /// Reads the name of a model; NULL means the default.
    pub(crate) fn model(&self, position: usize) -> Result<String> {
        let signature = self.function.signature;
        let Some(literal) = self.literals[position] else {
            return plan_err!(
                "{signature}: model must be a literal such as 'resnet', because it determines the plan"
            );
        };
        match literal.try_as_str() {
            Some(name) => Ok(name.unwrap_or(self.default_model).to_owned()),
            None if literal.is_null() => Ok(self.default_model.to_owned()),
            None => {
                plan_err!("{signature}: model must be the name of a model, not {}", literal.data_type())
            }
        }
    }

    /// Rejects the right arguments in another order, and shows the right call. A text is taken for the model, a whole
    /// number for `k`, anything but a literal for an input.
    pub(crate) fn check_order(&self) -> Result<()> {
        let Function { name, signature, model: position, .. } = *self.function;
        let text = |index: &usize| self.literals[*index].and_then(|literal| literal.try_as_str().flatten());
        if position >= self.literals.len() || text(&position).is_some() {
            return Ok(());
        }
        let models: Vec<_> = (0..self.literals.len()).filter_map(|index| text(&index)).collect();
        let [model] = models.as_slice() else { return Ok(()) };
        let inputs = self.literals.iter().filter(|literal| literal.is_none()).count();
        let k = self.literals.iter().flatten().find(|literal| literal.data_type().is_integer());
        let call = match (position, inputs, k) {
            (0, 1, _) => format!("{name}('{model}', input)"),
            (0, 2.., _) => format!("{name}('{model}', input, …)"),
            (1, 1, _) => format!("{name}(image, '{model}')"),
            (2, 1, Some(k)) => format!("{name}(image, {k}, '{model}')"),
            _ => return Ok(()),
        };
        plan_err!("{signature}: the arguments are in another order; write {call}")
    }
}
