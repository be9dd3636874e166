//! Finds the files of a model on an executor, or fetches them once.
//!
//! ```text
//!  the path of the plan · home/models/by-digest/<digest>/ · home/downloads/<sha256>/ · home/models/*/
//!    └─ none has the digests ─► models/by-digest/.fetching-…/ ─ all came, with their digests ─► models/by-digest/<digest>/
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use itertools::Itertools;
use seequel_cluster::{Address, Security, WantedFile, take};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::messages::{SentFile, SentModel};
use super::sent_files::is_inside;
use crate::Error;
use crate::model::ModelSpec;
use crate::model::fetch::{digest, hex};

/// Folder, in that of models, of those that are found by their digest.
const BY_DIGEST: &str = "by-digest";
/// File name of a model in a folder of its own.
const MODEL_FILE: &str = "model.onnx";
/// How often a file is asked for: its client may have lost the scheduler for a moment.
const ATTEMPTS: usize = 3;

/// Where an executor has its models, and gets others from.
#[derive(Debug)]
pub(super) struct ModelFiles {
    home: PathBuf,
    scheduler: Address,
    security: Security,
}

impl ModelFiles {
    pub(super) fn new(home: PathBuf, scheduler: Address, security: Security) -> Self {
        Self { home, scheduler, security }
    }

    /// The file of a model on this machine, with its weights beside it, all of the digests that the plan says.
    ///
    /// # Errors
    /// A model that is not here, and that its client does not give, or gives wrong.
    pub(super) async fn file(&self, spec: &ModelSpec, sent: &SentModel) -> Result<PathBuf, Error> {
        let failed = |reason: String| Error::Model { model: spec.name.clone(), reason };
        let Some((model, weights)) = sent.files.split_first() else {
            return Err(failed("the plan names no file of it".to_owned()));
        };
        let is_wrong = |file: &SentFile| !is_inside(&file.name) || file.name == MODEL_FILE;
        if model.sha256 != spec.sha256 || weights.iter().any(is_wrong) {
            return Err(failed("the plan names files that are not its own".to_owned()));
        }
        let models = self.home.join("models");
        let by_digest = models.join(BY_DIGEST).join(folder_name(&sent.files));
        let downloaded = self.home.join("downloads").join(&spec.sha256).join(MODEL_FILE);
        let installed = fs::read_dir(&models).into_iter().flatten().flatten();
        let installed = installed.map(|entry| entry.path().join(MODEL_FILE)).sorted();
        let places = [spec.file.clone(), by_digest.join(MODEL_FILE), downloaded].into_iter().chain(installed);
        for place in places {
            if are_there(&place, &sent.files).await {
                return Ok(place);
            }
        }
        match self.fetch(sent, &by_digest).await {
            Ok(()) => Ok(by_digest.join(MODEL_FILE)),
            Err(reason) => Err(failed(format!(
                "this executor has no file with its digest, {}, neither '{}' nor one in '{}', and could not get it from the \
                 client: {reason}. Copy the model to '{}' on this machine, or create it from a folder that all machines share",
                spec.sha256,
                spec.file.display(),
                models.display(),
                by_digest.display()
            ))),
        }
    }

    /// Fetches the files of a model into `folder`, which appears with all of them.
    async fn fetch(&self, sent: &SentModel, folder: &Path) -> Result<(), String> {
        let unwritable = |error: std::io::Error| format!("'{}' can't be written: {error}", folder.display());
        let parent = folder.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(unwritable)?;
        let fetching = TempDir::with_prefix_in(".fetching-", parent).map_err(unwritable)?;
        let model = fetching.path().join(MODEL_FILE);
        for file in &sent.files {
            let target = path_of(&model, file);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(unwritable)?;
            }
            self.fetch_file(&sent.secret, file, &target).await?;
        }
        match fs::rename(fetching.path(), folder) {
            Ok(()) => {
                // It is in its place: nothing is left to remove.
                let _ = fetching.keep();
                tracing::info!("fetched a model into '{}'", folder.display());
                Ok(())
            }
            // Another process of this machine was faster.
            Err(_) if are_there(&folder.join(MODEL_FILE), &sent.files).await => Ok(()),
            Err(error) => Err(unwritable(error)),
        }
    }

    async fn fetch_file(&self, secret: &str, file: &SentFile, target: &Path) -> Result<(), String> {
        let SentFile { bytes, sha256, .. } = file;
        let wanted = WantedFile { secret: secret.to_owned(), digest: sha256.clone(), bytes: *bytes };
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tracing::info!("asking for {sha256} again, since {reason}");
            }
            match take(&self.scheduler, &self.security, &wanted, target).await {
                Ok(()) => {
                    let found = digest(target).await?;
                    return if found == *sha256 {
                        Ok(())
                    } else {
                        Err(format!("what came has digest {found}, not {sha256}; it was not kept"))
                    };
                }
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}

/// The folder of a model among those that are found by their digest: that of its file, or of all its files if it has
/// external weights, which models of the same graph may have, too.
fn folder_name(files: &[SentFile]) -> String {
    match files {
        [model] => model.sha256.clone(),
        files => {
            let lines = files.iter().map(|file| format!("{} {}\n", file.sha256, file.name));
            hex(&Sha256::digest(lines.collect::<String>()))
        }
    }
}

/// Where a file is, if the model is at `model`.
fn path_of(model: &Path, file: &SentFile) -> PathBuf {
    if file.name.is_empty() { model.to_owned() } else { model.with_file_name(&file.name) }
}

/// Whether the model at `model` has all files of these digests.
async fn are_there(model: &Path, files: &[SentFile]) -> bool {
    for file in files {
        let path = path_of(model, file);
        let has_length = path.metadata().is_ok_and(|metadata| metadata.len() == file.bytes);
        if !has_length || digest(&path).await.as_ref() != Ok(&file.sha256) {
            return false;
        }
    }
    true
}

/// The external weights of the model at `model`.
pub(super) fn weight_files(model: &Path, sent: &SentModel) -> Vec<PathBuf> {
    sent.files.iter().skip(1).map(|file| path_of(model, file)).collect()
}
