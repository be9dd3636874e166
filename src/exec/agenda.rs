//! What the calls on one image, or on numbers alone, need: which models run, once each, and what is read from each run.
//!
//! ```text
//!  classify(image, 'a')                        lane a: Best, Top(3), Embedding ─┬─► classify's column
//!  classify_top_k(image, 3, 'a')      ──►                                       ├─► …
//!  embed(image, 'a')                           lane b: Best ────────────────────┴─► both's column, by the ensemble
//!  classify(image, 'both'), of a and b
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::error::Result;
use seequel_udfs::Request;

use super::answer::{Answer, Reading, Value};
use super::columns::column;
use super::failures::Answers;
use crate::model::runtime::Model;
use crate::model::{Ensemble, Predictor};

/// The models to run on an image, and how the calls are answered from their runs.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    lanes: Vec<LanePlan>,
    calls: Vec<CallPlan>,
}

/// One model, and what is read from its runs.
#[derive(Debug)]
pub(crate) struct LanePlan {
    pub(crate) model: Arc<Model>,
    /// For each input that takes numbers, the positions of its columns among those of its group.
    pub(crate) numbers: Vec<Vec<usize>>,
    /// Names of the outputs that are read.
    pub(crate) outputs: Vec<String>,
    /// Each with the positions among `outputs` of those it reads.
    pub(crate) readings: Vec<(Reading, Vec<usize>)>,
}

#[derive(Debug)]
struct CallPlan {
    request: Request,
    predictor: Predictor,
    data_type: DataType,
    /// Positions of a lane and of a reading in it, for each member.
    sources: Vec<(usize, usize)>,
}

/// The answers of each lane: a list a reading, with an answer a row.
pub(crate) type LaneAnswers = Vec<Vec<Vec<Answer>>>;

impl Agenda {
    /// Adds a call whose answers are of type `data_type`. The columns at `numbers` are for the model's inputs that take
    /// numbers.
    pub(crate) fn add(
        &mut self,
        request: Request,
        predictor: &Predictor,
        numbers: &[Vec<usize>],
        data_type: &DataType,
    ) {
        let reading = match (request, predictor) {
            (Request::Classify | Request::ClassifyTopK { .. }, Predictor::Ensemble(ensemble))
                if ensemble.averages() =>
            {
                Reading::Confidences
            }
            (Request::Classify, _) => Reading::Best,
            (Request::ClassifyTopK { k }, _) => Reading::Top(k),
            (Request::Embed, _) => Reading::Embedding,
            (Request::Detect, _) => Reading::Objects,
            (Request::Predict, _) => Reading::Outputs,
        };
        let sources = predictor.members().iter().map(|model| self.source(model, numbers, reading)).collect();
        let (predictor, data_type) = (predictor.clone(), data_type.clone());
        self.calls.push(CallPlan { request, predictor, data_type, sources });
    }

    /// The models that run.
    pub(crate) fn lanes(&self) -> &[LanePlan] {
        &self.lanes
    }

    /// The answers to the calls, in the order in which they were added.
    ///
    /// # Errors
    /// A bug: lanes that are not this agenda's.
    pub(crate) fn answers(&self, lanes: &LaneAnswers) -> Result<Vec<Answers>> {
        self.calls.iter().map(|call| call.answers(lanes)).collect()
    }

    /// Where `reading` of `model` will be found.
    fn source(&mut self, model: &Arc<Model>, numbers: &[Vec<usize>], reading: Reading) -> (usize, usize) {
        let known = |lane: &LanePlan| lane.model == *model && lane.numbers == numbers;
        let lane = self.lanes.iter().position(known).unwrap_or_else(|| {
            let (model, numbers) = (Arc::clone(model), numbers.to_vec());
            self.lanes.push(LanePlan { model, numbers, outputs: vec![], readings: vec![] });
            self.lanes.len() - 1
        });
        (lane, self.lanes[lane].position(reading))
    }
}

impl LanePlan {
    /// The position of `reading`, which is added if it is new.
    fn position(&mut self, reading: Reading) -> usize {
        if let Some(known) = self.readings.iter().position(|(known, _)| *known == reading) {
            return known;
        }
        let mut positions = vec![];
        for name in reading.outputs(self.model.spec()) {
            let known = self.outputs.iter().position(|known| known == name);
            positions.push(known.unwrap_or_else(|| {
                self.outputs.push(name.to_owned());
                self.outputs.len() - 1
            }));
        }
        self.readings.push((reading, positions));
        self.readings.len() - 1
    }
}

impl CallPlan {
    fn answers(&self, lanes: &LaneAnswers) -> Result<Answers> {
        let source = |(lane, reading): &(usize, usize)| lanes.get(*lane)?.get(*reading).map(Vec::as_slice);
        let Some(members) = self.sources.iter().map(source).collect::<Option<Vec<_>>>() else {
            return internal_err!("a lane of the agenda did not run");
        };
        match (&self.predictor, members.as_slice()) {
            (Predictor::Model(_), [answers]) => self.finish(answers),
            (Predictor::Model(_), _) => internal_err!("a model has one source"),
            (Predictor::Ensemble(ensemble), members) => {
                let rows = members.iter().map(|answers| answers.len()).min().unwrap_or(0);
                let combined = (0..rows).map(|row| {
                    let members: Vec<_> = members.iter().map(|answers| &answers[row]).collect();
                    combine(ensemble, self.request, &members)
                });
                self.finish(&combined.collect::<Vec<_>>())
            }
        }
    }

    fn finish(&self, answers: &[Answer]) -> Result<Answers> {
        let failures = answers.iter().enumerate().filter_map(|(row, answer)| match answer {
            Answer::Failed(reason) => Some((row, reason.clone())),
            Answer::Null | Answer::Is(_) => None,
        });
        Ok(Answers {
            request: self.request,
            failures: failures.collect(),
            column: column(self.request, &self.data_type, &self.predictor, answers)?,
        })
    }
}

/// One row's answer of an ensemble, from its members' answers.
fn combine(ensemble: &Ensemble, request: Request, members: &[&Answer]) -> Answer {
    if let Some(failure) = failure(ensemble, members) {
        return failure;
    }
    let confidences = members.iter().filter_map(|answer| match answer {
        Answer::Is(Value::Numbers(confidences)) => Some(confidences.as_slice()),
        _ => None,
    });
    let best = members.iter().filter_map(|answer| match answer {
        Answer::Is(Value::Class(class, _)) => Some(*class),
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
    value.map_or_else(|| Answer::Failed("no member gave an answer".to_owned()), Answer::Is)
}

/// NULL if the image was, and the failure of the first member that failed.
fn failure(ensemble: &Ensemble, members: &[&Answer]) -> Option<Answer> {
    if members.iter().any(|answer| matches!(answer, Answer::Null)) {
        return Some(Answer::Null);
    }
    let reason = |answer: &&Answer| match answer {
        Answer::Failed(reason) => Some(reason.clone()),
        Answer::Null | Answer::Is(_) => None,
    };
    let reasons: Vec<_> = members.iter().map(reason).collect();
    let (member, reason) =
        reasons.iter().enumerate().find_map(|(member, reason)| Some((member, reason.clone()?)))?;
    if reasons.iter().all(Option::is_some) {
        return Some(Answer::Failed(reason));
    }
    Some(Answer::Failed(format!("member '{}': {reason}", ensemble.members()[member].spec().name)))
}
