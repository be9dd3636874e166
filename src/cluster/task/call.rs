//! A call of inference on its way.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::PhysicalExpr;
use seequel_udfs::Request;

use super::messages::{SentEnsemble, SentModel, SentPredictor};
use super::sent_files::sent_files;
use crate::exec::PhysicalCall;
use crate::model::Predictor;

/// A call whose models are specified, and not there.
#[derive(Debug, Clone)]
pub(crate) struct TaskCall {
    pub(crate) field: FieldRef,
    pub(crate) request: Request,
    pub(crate) inputs: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) predictor: SentPredictor,
}

impl TaskCall {
    /// The call of an operator, for another machine. Files of its models are offered with `secret`.
    ///
    /// # Errors
    /// Files of a model that are not there any more.
    pub(crate) fn of(call: &PhysicalCall, secret: &str) -> Result<Self> {
        Ok(Self {
            field: Arc::clone(&call.field),
            request: call.request,
            inputs: call.inputs.clone(),
            predictor: SentPredictor::of(&call.predictor, secret)?,
        })
    }

    /// The call with its models.
    pub(crate) fn with(&self, predictor: Predictor) -> PhysicalCall {
        let Self { field, request, inputs, predictor: _ } = self.clone();
        PhysicalCall { field, request, inputs, predictor }
    }
}

impl SentPredictor {
    /// `predictor` for another machine. Files of its models are offered with `secret`.
    ///
    /// # Errors
    /// Files of a model that are not there any more.
    pub(in crate::cluster) fn of(predictor: &Predictor, secret: &str) -> Result<Self> {
        let models = predictor.members().iter().map(|model| {
            let spec = model.spec();
            let json = serde_json::to_string(spec);
            let json = json.map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok(SentModel { spec: json, files: sent_files(model)?, secret: secret.to_owned() })
        });
        let ensemble = match predictor {
            Predictor::Ensemble(ensemble) => Some(SentEnsemble {
                combine: ensemble.combine().to_string(),
                weights: ensemble.weights().to_vec(),
            }),
            Predictor::Model(_) | Predictor::Decoder => None,
        };
        Ok(Self { name: predictor.name().to_owned(), models: models.collect::<Result<_>>()?, ensemble })
    }
}
