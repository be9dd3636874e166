//! The models that an executor has: by their specification, loaded once for all tasks.
//!
//! ```text
//!  SentPredictor ─► known? ─► Model, whose pool all tasks share
//!                     └─ new: a file with the digest, by model_files.rs ─► Model
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::error::Result;
use itertools::Itertools;
use parking_lot::Mutex;
use seequel_cluster::{Address, LoadedModel, Security};
use tokio::sync::OnceCell;

use super::messages::{SentEnsemble, SentModel, SentPredictor};
use super::model_files::{ModelFiles, weight_files};
use crate::Error;
use crate::exec::Guard;
use crate::model::runtime::{Model, Runtime};
use crate::model::{Ensemble, ModelSpec, Predictor};

/// Models with their sessions that an executor keeps: those that were used last.
const KEPT: usize = 16;

/// Models by their specifications.
#[derive(Debug)]
pub(crate) struct ExecutorModels {
    files: ModelFiles,
    runtime: Runtime,
    /// The last used last.
    known: Mutex<Vec<Known>>,
    /// Is told of the rows that models run on.
    guard: Option<Arc<dyn Guard>>,
}

#[derive(Debug)]
struct Known {
    key: String,
    /// Once it is found. Whoever looks for it waits for others who do.
    found: Arc<OnceCell<Found>>,
}

#[derive(Debug)]
struct Found {
    model: Arc<Model>,
    since: SystemTime,
}

impl ExecutorModels {
    /// Models of files in `home`, of those at the paths of plans, and of those that clients of the scheduler have.
    pub(crate) fn new(home: PathBuf, scheduler: Address, security: Security, runtime: Runtime) -> Self {
        let files = ModelFiles::new(home, scheduler, security);
        Self { files, runtime, known: Mutex::default(), guard: None }
    }

    /// The same in a process that may die of an image.
    pub(crate) fn guarded(self, guard: Arc<dyn Guard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    pub(crate) fn guard(&self) -> Option<Arc<dyn Guard>> {
        self.guard.clone()
    }

    /// Those with sessions.
    pub(crate) fn loaded(&self) -> Vec<LoadedModel> {
        let known = self.known.lock();
        let found = known.iter().filter_map(|known| known.found.get());
        let loaded = found.filter(|found| found.model.loaded_sessions() > 0).map(|Found { model, since }| {
            let (spec, since) = (model.spec(), since.duration_since(UNIX_EPOCH));
            LoadedModel {
                name: spec.name.clone(),
                digest: spec.sha256.clone(),
                sessions: u32::try_from(model.loaded_sessions()).unwrap_or(u32::MAX),
                device: model.provider().map_or_else(|_| "?".to_owned(), |device| device.to_string()),
                since: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
            }
        });
        loaded.sorted_by(|one, other| one.name.cmp(&other.name)).collect()
    }

    /// What is found by `key`, used last from now on.
    fn known(&self, key: String) -> Arc<OnceCell<Found>> {
        let mut known = self.known.lock();
        let entry = match known.iter().position(|known| known.key == key) {
            Some(position) => known.remove(position),
            None => Known { key, found: Arc::default() },
        };
        let found = Arc::clone(&entry.found);
        if known.len() == KEPT {
            known.remove(0);
        }
        known.push(entry);
        found
    }

    /// What a plan's call runs. Loads no session.
    ///
    /// # Errors
    /// A model that this machine has no file of, or can't run.
    pub(crate) async fn predictor(&self, sent: &SentPredictor) -> Result<Predictor> {
        let mut models = vec![];
        for model in &sent.models {
            models.push(self.model(model).await?);
        }
        match (&sent.ensemble, models.as_slice()) {
            (Some(SentEnsemble { combine, weights }), _) => {
                let name = &sent.name;
                let error = |reason: String| Error::Model { model: name.clone(), reason };
                let combine = combine.parse().map_err(|reason| error(format!("{reason}")))?;
                let ensemble = Ensemble::sent(name, models, combine, weights.clone());
                Ok(Predictor::Ensemble(Arc::new(ensemble?)))
            }
            (None, []) => Ok(Predictor::Decoder),
            (None, [model]) => Ok(Predictor::Model(Arc::clone(model))),
            (None, [..]) => {
                let reason = "the plan has several models for it".to_owned();
                Err(Error::Model { model: sent.name.clone(), reason }.into())
            }
        }
    }

    /// The model of a plan. Loads no session.
    ///
    /// # Errors
    /// A model that this machine has no file of, or can't run.
    pub(super) async fn model(&self, sent: &SentModel) -> Result<Arc<Model>> {
        let unreadable = |error: serde_json::Error| Error::Model {
            model: "?".to_owned(),
            reason: format!("its specification can't be read: {error}"),
        };
        let spec: ModelSpec = serde_json::from_str(&sent.spec).map_err(unreadable)?;
        let key = key(&spec, sent).map_err(unreadable)?;
        let found = self.known(key);
        let found = found.get_or_try_init(|| self.find(spec, sent)).await?;
        Ok(Arc::clone(&found.model))
    }

    async fn find(&self, mut spec: ModelSpec, sent: &SentModel) -> Result<Found> {
        let file = self.files.file(&spec, sent).await?;
        spec.weight_files = weight_files(&file, sent);
        spec.file = file;
        let model = Arc::new(Model::new(spec, self.runtime.clone()));
        let checked = Arc::clone(&model);
        let checked = datafusion::common::runtime::SpawnedTask::spawn_blocking(move || checked.check());
        checked
            .join()
            .await
            .map_err(|error| datafusion::error::DataFusionError::ExecutionJoin(Box::new(error)))??;
        Ok(Found { model, since: SystemTime::now() })
    }
}

/// What makes a model the same as another: all but where its files are.
fn key(spec: &ModelSpec, sent: &SentModel) -> serde_json::Result<String> {
    let spec = ModelSpec { file: PathBuf::new(), weight_files: vec![], ..spec.clone() };
    let digests = sent.files.iter().map(|file| file.sha256.as_str()).collect::<Vec<_>>();
    Ok(format!("{} {}", digests.join(" "), serde_json::to_string(&spec)?))
}
