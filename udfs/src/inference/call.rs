//! Calls of inference functions: the request and the model, read from the literal arguments.

use std::ops::Range;

use datafusion::common::{Result, ScalarValue, plan_err};

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
        }
    }
}

/// A request to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is requested.
    pub request: Request,
    /// Name of the model.
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
    pub(crate) signature: &'static str,
    /// One per argument; `None` if it is not a literal.
    pub(crate) literals: Vec<Option<&'a ScalarValue>>,
    pub(crate) default_model: &'a str,
}

impl Arguments<'_> {
    /// Reads a call on an image, which is the first argument. The optional model is at `position`.
    pub(crate) fn image_call(&self, request: Request, position: usize) -> Result<ReadCall> {
        let count = self.literals.len();
        if count < position || count > position + 1 {
            let takes = if position == 1 { "one or two" } else { "two or three" };
            return plan_err!("{} takes {takes} arguments, not {count}", self.signature);
        }
        let model = if count > position { self.model(position)? } else { self.default_model.to_owned() };
        Ok(ReadCall { call: Call { request, model }, inputs: 0..1 })
    }

    /// Reads the name of a model; NULL means the default.
    pub(crate) fn model(&self, position: usize) -> Result<String> {
        let Some(literal) = self.literals[position] else {
            return plan_err!(
                "{}: model must be a literal such as 'resnet', because it determines the plan",
                self.signature
            );
        };
        match literal.try_as_str() {
            Some(name) => Ok(name.unwrap_or(self.default_model).to_owned()),
            None if literal.is_null() => Ok(self.default_model.to_owned()),
            None => plan_err!(
                "{}: model must be the name of a model, not {}",
                self.signature,
                literal.data_type()
            ),
        }
    }
}
