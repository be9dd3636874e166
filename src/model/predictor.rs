//! What a model name in a query refers to: a model or an ensemble; and the predictions it supports.

use std::slice;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, internal_err, plan_err};
use seequel_udfs::{
    Request, check_image_type, classification_type, detections_type, embedding_type, ranked_classes_type,
};

use super::ensemble::Ensemble;
use crate::model::input::{Assignment, assign};
use crate::model::onnx::Port;
use crate::model::runtime::Model;
use crate::model::spec::ModelSpec;
use crate::tasks::{Labels, Task, field_type};

static NO_LABELS: LazyLock<Labels> = LazyLock::new(Labels::default);

/// A model or an ensemble, or what needs neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub enum Predictor {
    /// One model.
    Model(Arc<Model>),
    /// Several models that predict as one.
    Ensemble(Arc<Ensemble>),
    /// No model: the image is only decoded.
    Decoder,
}

impl Predictor {
    /// Its name in SQL, empty if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Model(model) => &model.spec().name,
            Self::Ensemble(ensemble) => ensemble.name(),
            Self::Decoder => "",
        }
    }

    /// The models that run.
    #[must_use]
    pub fn members(&self) -> &[Arc<Model>] {
        match self {
            Self::Model(model) => slice::from_ref(model),
            Self::Ensemble(ensemble) => ensemble.members(),
            Self::Decoder => &[],
        }
    }

    /// Whether it takes an image.
    #[must_use]
    pub fn takes_image(&self) -> bool {
        *self == Self::Decoder || self.members().iter().any(|model| model.spec().image().is_some())
    }

    /// Names of the classes, which are the same for all members of an ensemble.
    pub(crate) fn labels(&self) -> &Labels {
        match self {
            Self::Model(model) => &model.spec().labels,
            Self::Ensemble(ensemble) => &ensemble.members()[0].spec().labels,
            Self::Decoder => &NO_LABELS,
        }
    }

    /// The type of the predictions for `request` on `inputs` of these types. Reads specifications only.
    ///
    /// # Errors
    /// A plan error that starts with the function's signature: an unsupported request, or unsupported inputs for it.
    pub fn prediction_type(&self, request: Request, inputs: &[DataType]) -> Result<DataType> {
        if let (Request::ImageFunction, [value]) = (request, inputs) {
            return Ok(value.clone());
        }
        self.assign(request, inputs)?;
        let data_type = match self {
            Self::Model(model) => prediction_type(model.spec(), request),
            Self::Ensemble(ensemble) => ensemble_prediction_type(ensemble, request),
            Self::Decoder => Ok(DataType::Utf8),
        };
        data_type.or_else(|reason| plan_err!("{}: model '{}' {reason}", request.signature(), self.name()))
    }

    /// Assigns a call's arguments, of types `inputs`, to the model's inputs.
    ///
    /// # Errors
    /// A plan error that starts with the function's signature: arguments that don't fit the model's inputs.
    pub(crate) fn assign(&self, request: Request, inputs: &[DataType]) -> Result<Assignment> {
        // The members of an ensemble are classifiers that take only an image.
        match (request, inputs, self.members().first()) {
            (Request::Predict, _, Some(model)) => {
                assign(&model.spec().inputs, request.signature(), self.name(), inputs)
            }
            (_, [image], _) => {
                check_image_type(request.signature(), image)?;
                Ok(Assignment { image: Some(0), numbers: vec![] })
            }
            _ => internal_err!("{} takes an image", request.signature()),
        }
    }
}

fn prediction_type(spec: &ModelSpec, request: Request) -> Result<DataType, String> {
    let task = &spec.task;
    match (request, spec.image(), spec.numbers().next()) {
        (Request::Predict, ..) | (_, Some(_), None) => {}
        (_, Some(_), Some(_)) => return Err("takes more than an image; use predict".to_owned()),
        (_, None, _) => return Err("takes no image; use predict".to_owned()),
    }
    match request {
        Request::Classify if *task == Task::ImageClassification => Ok(classification_type()),
        Request::ClassifyTopK { .. } if *task == Task::ImageClassification => Ok(ranked_classes_type()),
        Request::Classify | Request::ClassifyTopK { .. } => {
            let is_guess = spec.settings.iter().any(|setting| setting.name == "task" && setting.is_default());
            let hint = if is_guess {
                "; if its output is scores of classes, give it labels or that task"
            } else {
                ""
            };
            Err(format!("is for {task}, not for image-classification{hint}"))
        }
        Request::Embed => match &spec.embedding {
            // Lengths are limited when they are resolved.
            Some(output) => Ok(embedding_type(output.length as i32)),
            None => {
                Err("has no output that is a vector beside its scores; the option embedding names one"
                    .to_owned())
            }
        },
        Request::Detect => match &spec.detector {
            Some(_) => Ok(detections_type()),
            None => Err(format!("is for {task}, not for object-detection")),
        },
        Request::ImageError | Request::ImageFunction => Ok(DataType::Utf8),
        Request::Predict => {
            let field = |port: &Port| Ok(Field::new(&port.name, field_type(port)?, true));
            Ok(DataType::Struct(spec.outputs.iter().map(field).collect::<Result<Fields, String>>()?))
        }
    }
}

fn ensemble_prediction_type(ensemble: &Ensemble, request: Request) -> Result<DataType, String> {
    match request {
        Request::Classify => Ok(classification_type()),
        Request::ClassifyTopK { .. } if ensemble.averages() => Ok(ranked_classes_type()),
        Request::ClassifyTopK { .. } => Err(format!(
            "combines by {}, which ranks no classes after the first; an ensemble by mean or weights does",
            ensemble.combine()
        )),
        Request::ImageError | Request::ImageFunction => Ok(DataType::Utf8),
        Request::Embed | Request::Detect | Request::Predict => {
            Err("is an ensemble, which classifies; name one of its members".to_owned())
        }
    }
}
