//! The model of a call that stays in an expression.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{internal_datafusion_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use seequel_udfs::{Call, Models, Request};
use tokio::runtime::Handle;

use super::infer_task::as_text;
use super::messages::SentPredictor;
use super::models::ExecutorModels;
use crate::exec::{blocking, predict};
use crate::model::Predictor;

/// What one call runs, whatever model it names: a specification, which an executor finds the model of.
#[derive(Debug)]
pub(in crate::cluster) struct ExprModels {
    request: Request,
    sent: SentPredictor,
    /// Those of an executor.
    models: Option<Arc<ExecutorModels>>,
    /// Once a row has needed it.
    found: OnceLock<Predictor>,
}

impl ExprModels {
    pub(in crate::cluster) fn new(
        request: Request,
        sent: SentPredictor,
        models: Option<Arc<ExecutorModels>>,
    ) -> Self {
        Self { request, sent, models, found: OnceLock::new() }
    }

    pub(in crate::cluster) fn request(&self) -> Request {
        self.request
    }

    pub(in crate::cluster) fn sent(&self) -> &SentPredictor {
        &self.sent
    }

    /// Waits for the files of the models, which may have to come from the client.
    fn found(&self) -> Result<&Predictor> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let none = || internal_datafusion_err!("only an executor infers");
        let models = self.models.as_ref().ok_or_else(none)?;
        let runtime = Handle::try_current().map_err(|error| internal_datafusion_err!("{error}"))?;
        let found = blocking(|| runtime.block_on(models.predictor(&self.sent)))?;
        Ok(self.found.get_or_init(|| found))
    }
}

impl Models for ExprModels {
    fn default_model(&self, _: &ConfigOptions) -> String {
        String::new()
    }

    fn prediction_type(&self, call: &Call, _: &[DataType]) -> Result<DataType> {
        internal_err!("{} has the type that it was planned with", call.request.signature())
    }

    fn predict(&self, _: &Call, inputs: &[ArrayRef], config: &ConfigOptions) -> Result<ArrayRef> {
        let predictor = self.found().map_err(as_text)?;
        predict(predictor, self.request, inputs, config).map_err(as_text)
    }
}
