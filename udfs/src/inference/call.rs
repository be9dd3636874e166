//! Calls: what is asked of which model, read from the arguments that are literals.

use std::ops::Range;

use datafusion::common::{Result, ScalarValue, plan_err};

use super::signatures;

/// What a call asks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub enum Request {
    /// The most probable class of an image.
    Classify,
    /// The most probable classes of an image.
    ClassifyTopK {
        /// How many, at least 1.
        k: usize,
    },
    /// An image as a vector.
    Embed,
    /// The objects in an image.
    Detect,
    /// Whatever a model gives.
    Predict,
}

impl Request {
    /// How the function is called: the start of every error about a call.
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

    /// Writes a call as SQL has it, from the texts of its inputs.
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
    /// What is asked.
    pub request: Request,
    /// Name of the model.
    pub model: String,
}

/// A call, and which of its arguments are what the model looks at.
#[derive(Debug)]
pub(crate) struct ReadCall {
    pub(crate) call: Call,
    pub(crate) inputs: Range<usize>,
}

/// The arguments of a call, of which only literals are known while a query is planned.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) signature: &'static str,
    /// Those that are literals.
    pub(crate) literals: Vec<Option<&'a ScalarValue>>,
    pub(crate) default_model: &'a str,
}

impl Arguments<'_> {
    /// A call on an image: the first argument. The model is at `position`, if it is given.
    pub(crate) fn image_call(&self, request: Request, position: usize) -> Result<ReadCall> {
        let count = self.literals.len();
        if count < position || count > position + 1 {
            let takes = if position == 1 { "one or two" } else { "two or three" };
            return plan_err!("{} takes {takes} arguments, not {count}", self.signature);
        }
        let model = if count > position { self.model(position)? } else { self.default_model.to_owned() };
        Ok(ReadCall { call: Call { request, model }, inputs: 0..1 })
    }

    /// The name of a model; NULL stands for the default.
    pub(crate) fn model(&self, position: usize) -> Result<String> {
        let Some(literal) = self.literals[position] else {
            return plan_err!(
                "{}: model must be a literal such as 'resnet', for it decides the plan",
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
