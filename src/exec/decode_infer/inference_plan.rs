//! The plan for the calls on one image, or on numbers alone: which models run, once each, and how their outputs become
//! results.
//!
//! ```text
//!  classify(image, 'a')                        a: Best, Top(3), Embedding      ─┬─► classify's column
//!  classify_top_k(image, 3, 'a')      ──►                                       ├─► …
//!  embed(image, 'a')                           b: Best ─────────────────────────┴─► both's column, by the ensemble
//!  classify(image, 'both'), of a and b
//! ```

use std::sync::Arc;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::error::Result;
use seequel_udfs::Request;

use crate::Error;
use crate::exec::failures::{ImageFailures, Predictions};
use crate::exec::metrics::{InferMetrics, ModelMetrics};
use crate::exec::predictions::{Postprocess, Prediction, Value, column};
use crate::failures::{Failure, Stage};
use crate::model::runtime::{Model, too_many_elements};
use crate::model::{Ensemble, Predictor};

/// The models to run on an image, and how their outputs become the results of the calls.
#[derive(Debug, Default)]
pub(crate) struct InferencePlan {
    models: Vec<ModelPlan>,
    calls: Vec<CallPlan>,
}

/// One model, and how its outputs are postprocessed.
#[derive(Debug)]
pub(crate) struct ModelPlan {
    pub(crate) model: Arc<Model>,
    /// For each input that takes numbers, the positions of its columns among those of its group.
    pub(crate) numbers: Vec<Vec<usize>>,
    /// Names of the outputs that are read.
    pub(crate) outputs: Vec<String>,
    /// Each with the positions in `outputs` of those it reads.
    pub(crate) postprocesses: Vec<(Postprocess, Vec<usize>)>,
    pub(crate) metrics: ModelMetrics,
}

#[derive(Debug)]
struct CallPlan {
    request: Request,
    predictor: Predictor,
    data_type: DataType,
    /// For each member, the position of its model, and of its postprocessing among that model's.
    sources: Vec<(usize, usize)>,
}

/// For each model and each of its `postprocesses`, one prediction per row.
pub(crate) type ModelPredictions = Vec<Vec<Vec<Prediction>>>;

impl InferencePlan {
    /// Adds a call whose result is of type `data_type`. The columns at `numbers` are for the model's inputs that take
    /// numbers. Its models count their runs in `metrics`.
    pub(crate) fn add(
        &mut self,
        request: Request,
        predictor: &Predictor,
        numbers: &[Vec<usize>],
        data_type: &DataType,
        metrics: &InferMetrics,
    ) {
        if request == Request::ImageError {
            self.add_image_error(predictor, data_type, metrics);
            return;
        }
        let postprocess = match (request, predictor) {
            (Request::Classify | Request::ClassifyTopK { .. }, Predictor::Ensemble(ensemble))
                if ensemble.averages() =>
            {
                Postprocess::Confidences
            }
            (Request::Classify, _) => Postprocess::Best,
            (Request::ClassifyTopK { k }, _) => Postprocess::Top(k),
            (Request::Embed, _) => Postprocess::Embedding,
            (Request::Detect, _) => Postprocess::Objects,
            (Request::Predict | Request::ImageError | Request::ImageFunction, _) => Postprocess::Outputs,
        };
        let mut source = |model| self.source(model, numbers, postprocess, metrics);
        let sources = predictor.members().iter().map(&mut source).collect();
        let (predictor, data_type) = (predictor.clone(), data_type.clone());
        self.calls.push(CallPlan { request, predictor, data_type, sources });
    }

    /// Adds a call of `image_error`, after all others. It reads what these read of the models, or what their tasks give.
    fn add_image_error(&mut self, predictor: &Predictor, data_type: &DataType, metrics: &InferMetrics) {
        let source = |model: &Arc<Model>| match self.models.iter().position(|plan| plan.model == *model) {
            Some(position) => (position, 0),
            None => self.source(model, &[], Postprocess::of_task(model.spec()), metrics),
        };
        let sources = predictor.members().iter().map(source).collect();
        let (predictor, data_type) = (predictor.clone(), data_type.clone());
        self.calls.push(CallPlan { request: Request::ImageError, predictor, data_type, sources });
    }

    /// The models to run.
    pub(crate) fn models(&self) -> &[ModelPlan] {
        &self.models
    }

    /// Checks the outputs of fixed length before a model runs.
    ///
    /// # Errors
    /// An output with more than `most` numbers a row.
    pub(crate) fn check_outputs(&self, most: u64) -> Result<()> {
        for ModelPlan { model, outputs, .. } in &self.models {
            let spec = model.spec();
            for port in spec.outputs.iter().filter(|port| outputs.contains(&port.name)) {
                let elements = port.row_elements();
                if elements > most {
                    let reason = too_many_elements(&port.name, elements, most);
                    return Err(Error::Model { model: spec.name.clone(), reason }.into());
                }
            }
        }
        Ok(())
    }

    /// The predictions of the calls for `rows` rows, in the order in which they were added.
    ///
    /// # Errors
    /// A bug: predictions of models other than this plan's.
    pub(crate) fn predictions(
        &self,
        predictions: &ModelPredictions,
        rows: usize,
        image_failures: &ImageFailures,
    ) -> Result<Vec<Predictions>> {
        let of_call = |call: &CallPlan| match call.request {
            Request::ImageError => Ok(self.image_errors(call, predictions, rows, image_failures)),
            _ => call.predictions(predictions),
        };
        self.calls.iter().map(of_call).collect()
    }

    /// Why rows have no image, or no prediction of one of the models that `call` names; of any model if it names none.
    fn image_errors(
        &self,
        call: &CallPlan,
        predictions: &ModelPredictions,
        rows: usize,
        image_failures: &ImageFailures,
    ) -> Predictions {
        let all = || (0..self.models.len()).collect::<Vec<_>>();
        let models = match call.predictor {
            Predictor::Decoder => all(),
            Predictor::Model(_) | Predictor::Ensemble(_) => {
                call.sources.iter().map(|(model, _)| *model).collect()
            }
        };
        let mut failures = image_failures.clone();
        for model in &models {
            for predictions in predictions.get(*model).into_iter().flatten() {
                for (row, prediction) in predictions.iter().enumerate() {
                    if let Prediction::Failed(failure) = prediction {
                        failures.entry(row).or_insert_with(|| failure.clone());
                    }
                }
            }
        }
        let errors = (0..rows).map(|row| failures.get(&row).map(|failure| failure.reason.as_str()));
        let column = Arc::new(errors.collect::<StringArray>());
        // Calls that fail themselves report it.
        let others = self.calls.iter().filter(|other| other.request != Request::ImageError);
        let reported: Vec<_> = others.flat_map(|other| &other.sources).map(|(model, _)| *model).collect();
        let is_reported = models.iter().all(|model| reported.contains(model))
            && (!models.is_empty() || !reported.is_empty());
        let failures = if is_reported { vec![] } else { failures.into_iter().collect() };
        let model = call.predictor.name().to_owned();
        Predictions { request: call.request, model, column, failures }
    }

    /// The positions of `model` and of its `postprocess`, which are added if they are new.
    fn source(
        &mut self,
        model: &Arc<Model>,
        numbers: &[Vec<usize>],
        postprocess: Postprocess,
        metrics: &InferMetrics,
    ) -> (usize, usize) {
        let known = |plan: &ModelPlan| plan.model == *model && plan.numbers == numbers;
        let position = self.models.iter().position(known).unwrap_or_else(|| {
            let (metrics, model, numbers) = (metrics.of(model), Arc::clone(model), numbers.to_vec());
            self.models.push(ModelPlan { model, numbers, outputs: vec![], postprocesses: vec![], metrics });
            self.models.len() - 1
        });
        (position, self.models[position].position(postprocess))
    }
}

impl ModelPlan {
    /// The position of `postprocess`, which is added if it is new.
    fn position(&mut self, postprocess: Postprocess) -> usize {
        if let Some(known) = self.postprocesses.iter().position(|(known, _)| *known == postprocess) {
            return known;
        }
        let mut positions = vec![];
        for name in postprocess.outputs(self.model.spec()) {
            let known = self.outputs.iter().position(|known| known == name);
            positions.push(known.unwrap_or_else(|| {
                self.outputs.push(name.to_owned());
                self.outputs.len() - 1
            }));
        }
        self.postprocesses.push((postprocess, positions));
        self.postprocesses.len() - 1
    }
}

impl CallPlan {
    fn predictions(&self, predictions: &ModelPredictions) -> Result<Predictions> {
        let source = |(model, postprocess): &(usize, usize)| {
            predictions.get(*model)?.get(*postprocess).map(Vec::as_slice)
        };
        let Some(members) = self.sources.iter().map(source).collect::<Option<Vec<_>>>() else {
            return internal_err!("a model of the inference plan did not run");
        };
        match (&self.predictor, members.as_slice()) {
            (Predictor::Model(_), [predictions]) => self.finish(predictions),
            (Predictor::Decoder, _) => internal_err!("only image_error needs no model"),
            (Predictor::Model(_), _) => internal_err!("a model has one source"),
            (Predictor::Ensemble(ensemble), members) => {
                let rows = members.iter().map(|predictions| predictions.len()).min().unwrap_or(0);
                let combined = (0..rows).map(|row| {
                    let members: Vec<_> = members.iter().map(|predictions| &predictions[row]).collect();
                    combine(ensemble, self.request, &members)
                });
                self.finish(&combined.collect::<Vec<_>>())
            }
        }
    }

    fn finish(&self, predictions: &[Prediction]) -> Result<Predictions> {
        let failures = predictions.iter().enumerate().filter_map(|(row, prediction)| match prediction {
            Prediction::Failed(failure) => Some((row, failure.clone())),
            Prediction::Null | Prediction::Value(_) => None,
        });
        Ok(Predictions {
            request: self.request,
            model: self.predictor.name().to_owned(),
            failures: failures.collect(),
            column: column(self.request, &self.data_type, &self.predictor, predictions)?,
        })
    }
}

/// An ensemble's prediction for one row, from those of its members.
fn combine(ensemble: &Ensemble, request: Request, members: &[&Prediction]) -> Prediction {
    if let Some(failure) = failure(ensemble, members) {
        return failure;
    }
    let confidences = members.iter().filter_map(|prediction| match prediction {
        Prediction::Value(Value::Numbers(confidences)) => Some(confidences.as_slice()),
        _ => None,
    });
    let best = members.iter().filter_map(|prediction| match prediction {
        Prediction::Value(Value::Class(class, _)) => Some(*class),
        _ => None,
    });
    let value = match request {
        Request::ClassifyTopK { k } => {
            Some(Value::Classes(ensemble.average(&confidences.collect::<Vec<_>>(), k)))
        }
        _ if ensemble.averages() => {
            let average = ensemble.average(&confidences.collect::<Vec<_>>(), 1);
            average.first().map(|class| Value::Class(*class, None))
        }
        _ => ensemble.elect(&best.collect::<Vec<_>>()).map(|(class, winner)| Value::Class(class, winner)),
    };
    let none = || Prediction::Failed(Failure::new(Stage::Postprocess, "no member gave a prediction"));
    value.map_or_else(none, Prediction::Value)
}

/// NULL if the image is NULL, otherwise the error of the first member that failed, if any.
fn failure(ensemble: &Ensemble, members: &[&Prediction]) -> Option<Prediction> {
    if members.iter().any(|prediction| matches!(prediction, Prediction::Null)) {
        return Some(Prediction::Null);
    }
    let failure = |prediction: &&Prediction| match prediction {
        Prediction::Failed(failure) => Some(failure.clone()),
        Prediction::Null | Prediction::Value(_) => None,
    };
    let failures: Vec<_> = members.iter().map(failure).collect();
    let (member, Failure { stage, reason }) =
        failures.iter().enumerate().find_map(|(member, failure)| Some((member, failure.clone()?)))?;
    if failures.iter().all(Option::is_some) {
        return Some(Prediction::Failed(Failure { stage, reason }));
    }
    let reason = format!("member '{}': {reason}", ensemble.members()[member].spec().name);
    Some(Prediction::Failed(Failure { stage, reason }))
}
