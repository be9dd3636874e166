//! The models that an executor has: by their specification, loaded once for all tasks.
//!
//! ```text
//!  SentPredictor ─► known? ─► Model, whose pool all tasks share
//!                     └─ new: a file with the digest ─► Model
//!                          the path of the plan · home/models/by-digest/<sha256>/model.onnx · home/models/*/model.onnx
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::Result;
use itertools::Itertools;
use tokio::sync::Mutex;

use super::messages::{SentEnsemble, SentPredictor};
use crate::Error;
use crate::model::fetch::digest;
use crate::model::runtime::{Model, Runtime};
use crate::model::{Ensemble, ModelSpec, Predictor};

/// Models with their sessions that an executor keeps: those that were used last.
const KEPT: usize = 16;

/// Folder, in that of models, of those that are found by their digest.
const BY_DIGEST: &str = "by-digest";

/// File name of a model in a folder of its own.
const MODEL_FILE: &str = "model.onnx";

/// Models by their specifications.
#[derive(Debug)]
pub(crate) struct ExecutorModels {
    home: PathBuf,
    runtime: Runtime,
    /// The last used last.
    known: Mutex<Vec<(String, Arc<Model>)>>,
}

impl ExecutorModels {
    /// Models of files in `home`, and of those at the paths of plans.
    pub(crate) fn new(home: PathBuf, runtime: Runtime) -> Self {
        Self { home, runtime, known: Mutex::default() }
    }

    /// What a plan's call runs. Loads no session.
    ///
    /// # Errors
    /// A model that this machine has no file of, or can't run.
    pub(crate) async fn predictor(&self, sent: &SentPredictor) -> Result<Predictor> {
        let mut models = vec![];
        for spec in &sent.models {
            models.push(self.model(spec).await?);
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

    /// Waits while another task looks for a model: it may be the same.
    async fn model(&self, sent: &str) -> Result<Arc<Model>> {
        let mut known = self.known.lock().await;
        if let Some(position) = known.iter().position(|(spec, _)| spec == sent) {
            let entry = known.remove(position);
            let model = Arc::clone(&entry.1);
            known.push(entry);
            return Ok(model);
        }
        let mut spec: ModelSpec = serde_json::from_str(sent).map_err(|error| Error::Model {
            model: "?".to_owned(),
            reason: format!("its specification can't be read: {error}"),
        })?;
        let file = self.file(&spec).await?;
        spec.weight_files = weight_files(&spec, &file)?;
        spec.file = file;
        let model = Arc::new(Model::new(spec, self.runtime.clone()));
        let checked = Arc::clone(&model);
        let checked = datafusion::common::runtime::SpawnedTask::spawn_blocking(move || checked.check());
        checked
            .join()
            .await
            .map_err(|error| datafusion::error::DataFusionError::ExecutionJoin(Box::new(error)))??;
        if known.len() == KEPT {
            known.remove(0);
        }
        known.push((sent.to_owned(), Arc::clone(&model)));
        Ok(model)
    }

    /// A file with the model's digest on this machine.
    async fn file(&self, spec: &ModelSpec) -> Result<PathBuf, Error> {
        let models = self.home.join("models");
        let by_digest = models.join(BY_DIGEST).join(&spec.sha256).join(MODEL_FILE);
        let installed = std::fs::read_dir(&models).into_iter().flatten().flatten();
        let installed = installed.map(|entry| entry.path().join(MODEL_FILE)).sorted();
        let places = [spec.file.clone(), by_digest.clone()].into_iter().chain(installed);
        for place in places.filter(|place| place.is_file()) {
            if digest(&place).await.is_ok_and(|digest| digest == spec.sha256) {
                return Ok(place);
            }
        }
        let reason = format!(
            "this executor has no file with its digest, {}: neither '{}' nor one in '{}'. Copy the model to '{}' on this \
             machine, or create it from a folder that all machines share",
            spec.sha256,
            spec.file.display(),
            models.display(),
            by_digest.display()
        );
        Err(Error::Model { model: spec.name.clone(), reason })
    }
}

/// The external weights of a model at `file`, of the length that the plan says.
fn weight_files(spec: &ModelSpec, file: &Path) -> Result<Vec<PathBuf>, Error> {
    let names = spec.weight_files.iter().filter_map(|weights| weights.file_name());
    let files: Vec<_> = names.map(|name| file.with_file_name(name)).collect();
    let bytes: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    if bytes == spec.external_bytes {
        return Ok(files);
    }
    let reason = format!(
        "its external weights beside '{}' have {bytes} bytes on this executor, not {}",
        file.display(),
        spec.external_bytes
    );
    Err(Error::Model { model: spec.name.clone(), reason })
}
