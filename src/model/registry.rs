//! The models and ensembles of an engine, by name.
//!
//! Installed models, `home/models/<name>/model.onnx`, are registered at the start. Their files are read on first use,
//! so that a session that uses none of them starts immediately.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use itertools::Itertools;
use parking_lot::RwLock;
use seequel_udfs::{Call, Request};

use super::ensemble::{CreateEnsemble, Ensemble};
use super::predictor::Predictor;
use crate::bounds::Bounds;
use crate::model::fetch;
use crate::model::runtime::{Model, Runtime};
use crate::model::settings::{CreateModel, locate};
use crate::model::spec::ModelSpec;
use crate::nearest::nearest;
use crate::{Error, Result};

/// Folder of installed models in the home.
const MODELS: &str = "models";

/// File name of the model in a folder of `home/models`.
const MODEL_FILE: &str = "model.onnx";

/// Models by name, shared by the sessions of an engine.
///
/// Running a model opens ONNX Runtime, which reports to its maker unless the process has
/// [`DISABLE_TELEMETRY`](crate::model::runtime::DISABLE_TELEMETRY) in its environment.
#[derive(Debug)]
pub struct ModelRegistry {
    home: PathBuf,
    runtime: Runtime,
    entries: RwLock<BTreeMap<String, Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// An installed model that has not been used yet.
    Found(PathBuf),
    Registered(Predictor),
}

impl ModelRegistry {
    /// A registry of the models in `home/models`, run by the ONNX Runtime in `home/lib` or another location.
    #[must_use]
    pub fn new(home: impl AsRef<Path>) -> Self {
        let home = home.as_ref();
        Self::with_runtime(home, Runtime::new(home))
    }

    /// A registry of the models in `home/models`, run by `runtime`.
    #[must_use]
    pub fn with_runtime(home: impl AsRef<Path>, runtime: Runtime) -> Self {
        let home = home.as_ref();
        let entries = RwLock::new(found_in(&home.join(MODELS)));
        Self { home: home.to_owned(), runtime, entries }
    }

    /// The folder of models, runtimes and tunings.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Registers the models of a file again, all of them without its digest, so that they are sized anew. Running queries
    /// and ensembles keep those that they have. Models that were not used yet are not sized, and their files not read.
    pub(crate) fn renew(&self, sha256: Option<&str>) {
        for entry in self.entries.write().values_mut() {
            match entry {
                Entry::Registered(Predictor::Model(model))
                    if sha256.is_none_or(|sha256| model.spec().sha256 == sha256) =>
                {
                    *model = Arc::new(model.again());
                }
                Entry::Registered(_) | Entry::Found(_) => {}
            }
        }
    }

    /// The ONNX Runtime that runs the models.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The model of that name, exact or in lower case, as SQL folds names.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], an error in the files of an installed model, or a name of an ensemble.
    pub fn get(&self, name: &str) -> Result<Arc<Model>> {
        match self.predictor(name)? {
            Predictor::Model(model) => Ok(model),
            Predictor::Ensemble(ensemble) => {
                let reason = "it is an ensemble, which has no settings of its own".to_owned();
                Err(Error::Model { model: ensemble.name().to_owned(), reason })
            }
            Predictor::Decoder => Err(self.unknown(name)),
        }
    }

    /// The model or ensemble of that name, exact or in lower case, as SQL folds names.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], or an error in the files of an installed model.
    pub fn predictor(&self, name: &str) -> Result<Predictor> {
        match self.entry(name) {
            None => Err(self.unknown(name)),
            Some((_, Entry::Registered(predictor))) => Ok(predictor),
            Some((name, Entry::Found(file))) => {
                let model = self.resolve(&name, &file, &BTreeMap::new())?;
                Ok(self.register_found(&name, model))
            }
        }
    }

    /// What `call` runs: its model or ensemble, or no model if it names none.
    ///
    /// # Errors
    /// Those of [`Self::predictor`].
    pub(crate) fn called(&self, call: &Call) -> Result<Predictor> {
        if call.request == Request::ImageError && call.model.is_empty() {
            return Ok(Predictor::Decoder);
        }
        self.predictor(&call.model)
    }

    /// The names of all models, sorted. Reads no file.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.entries.read().keys().cloned().collect()
    }

    /// Registers an installed model, unless a concurrent use or CREATE has registered one.
    fn register_found(&self, name: &str, model: Arc<Model>) -> Predictor {
        let model = Predictor::Model(model);
        match self.entries.write().get_mut(name) {
            Some(Entry::Registered(registered)) => registered.clone(),
            Some(found) => {
                *found = Entry::Registered(model.clone());
                model
            }
            None => model,
        }
    }

    /// Fetches a remote file and returns the statement with its local path. If the name is taken, fetches nothing.
    ///
    /// # Errors
    /// An unreachable location, a rejected request, a file that is too large or differs from the option `sha256`.
    pub async fn fetch(&self, statement: CreateModel) -> Result<CreateModel> {
        self.fetch_within(statement, &Bounds::default()).await
    }

    /// As [`Self::fetch`], of files within `bounds`.
    pub(crate) async fn fetch_within(&self, statement: CreateModel, bounds: &Bounds) -> Result<CreateModel> {
        let is_taken = self.entries.read().contains_key(&statement.name) && !statement.or_replace;
        if is_taken {
            return Ok(statement);
        }
        let file = fetch::local(&statement, &self.home, bounds).await?;
        let location = file.into_os_string().into_string().map_err(|file| Error::Model {
            model: statement.name.clone(),
            reason: format!("'{}' is not UTF-8", file.display()),
        })?;
        Ok(CreateModel { location, ..statement })
    }

    /// Registers a model from a local file; see [`Self::fetch`]. Reads its files and opens its device, unless that is the
    /// CPU, but loads no session of it. Blocks meanwhile.
    ///
    /// # Errors
    /// A name that is taken, a location that is not a file, an invalid file or option, a device that can't be used.
    pub fn create(&self, statement: &CreateModel) -> Result<()> {
        self.create_within(statement, &Bounds::default())
    }

    /// As [`Self::create`], of files within `bounds`.
    pub(crate) fn create_within(&self, statement: &CreateModel, bounds: &Bounds) -> Result<()> {
        let CreateModel { name, or_replace, if_not_exists, location: _, options } = statement;
        self.register(name, *or_replace, *if_not_exists, || {
            let file = local_file(statement)?;
            let error = |reason| Error::Model { model: name.clone(), reason };
            check_size(&file, bounds.max_model_bytes).map_err(error)?;
            let model = self.resolve(name, &file, options)?;
            let (bytes, most) = (model.spec().external_bytes, bounds.max_weight_bytes);
            if bytes > most {
                return Err(error(format!(
                    "the {bytes} bytes of its external weights are more than inference.max_weight_bytes ({most})"
                )));
            }
            model.check()?;
            Ok(Predictor::Model(model))
        })
    }

    /// Registers an ensemble. Reads the files of members not used before, but loads no session.
    ///
    /// # Errors
    /// A name that is taken, an invalid member or option.
    pub fn create_ensemble(&self, statement: &CreateEnsemble) -> Result<()> {
        let CreateEnsemble { name, or_replace, if_not_exists, members, options } = statement;
        self.register(name, *or_replace, *if_not_exists, || {
            let error = |reason| Error::Model { model: name.clone(), reason };
            let member = |member: &String| match self.predictor(member)? {
                Predictor::Model(model) if model.spec().name != *name => Ok(model),
                Predictor::Model(_) => Err(error("an ensemble can't replace its own member".to_owned())),
                Predictor::Ensemble(_) => {
                    Err(error(format!("member '{member}' is an ensemble; name its members instead")))
                }
                Predictor::Decoder => Err(self.unknown(member)),
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>>>()?;
            Ok(Predictor::Ensemble(Arc::new(Ensemble::new(name, members, options)?)))
        })
    }

    /// Whether `CREATE MODEL name` would register a model, before work is done for it.
    ///
    /// # Errors
    /// A name that is taken, or that of an ensemble's member.
    pub(crate) fn takes(&self, name: &str, or_replace: bool, if_not_exists: bool) -> Result<bool> {
        match check_name(&self.entries.read(), name, or_replace) {
            Err(_) if if_not_exists => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// The folder of an installed model of that name.
    pub(crate) fn folder_of(&self, name: &str) -> PathBuf {
        self.home.join(MODELS).join(name)
    }

    /// Registers the result of `make`, unless the name is taken or is that of an ensemble's member.
    fn register(
        &self,
        name: &str,
        or_replace: bool,
        if_not_exists: bool,
        make: impl FnOnce() -> Result<Predictor>,
    ) -> Result<()> {
        if !self.takes(name, or_replace, if_not_exists)? {
            return Ok(());
        }
        let predictor = make()?;
        let mut entries = self.entries.write();
        match check_name(&entries, name, or_replace) {
            Err(_) if if_not_exists => return Ok(()),
            result => result?,
        }
        entries.insert(name.to_owned(), Entry::Registered(predictor));
        Ok(())
    }

    /// `DROP MODEL`: unregisters a model. Running queries finish with it; its files are kept.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], unless `if_exists`; a member of an ensemble.
    pub fn remove(&self, name: &str, if_exists: bool) -> Result<()> {
        let removed = {
            let mut entries = self.entries.write();
            check_unused(&entries, name)?;
            entries.remove(name)
        };
        if removed.is_none() && !if_exists {
            return Err(self.unknown(name));
        }
        Ok(())
    }

    /// Frees the sessions of a model, or of all members of an ensemble; see [`Model::unload`]. Reads no file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn unload(&self, name: &str) -> Result<()> {
        match self.entry(name) {
            None => Err(self.unknown(name)),
            Some((_, Entry::Found(_))) => Ok(()),
            Some((_, Entry::Registered(predictor))) => {
                predictor.members().iter().for_each(|model| model.unload());
                Ok(())
            }
        }
    }

    /// The entry of that name, exact or in lower case, with its exact name.
    fn entry(&self, name: &str) -> Option<(String, Entry)> {
        let found = |(name, entry): (&String, &Entry)| (name.clone(), entry.clone());
        let entries = self.entries.read();
        entries.get_key_value(name).or_else(|| entries.get_key_value(&name.to_lowercase())).map(found)
    }

    fn resolve(&self, name: &str, file: &Path, options: &BTreeMap<String, String>) -> Result<Arc<Model>> {
        Ok(Arc::new(Model::new(ModelSpec::resolve(name, file, options)?, self.runtime.clone())))
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.names();
        let nearest = nearest(name, names.iter().map(String::as_str));
        let all = names.iter().map(|name| format!("'{name}'")).join(", ");
        let listed = match nearest {
            Some(near) => format!("did you mean '{near}'? The models are {all}"),
            None if names.is_empty() => "create one with CREATE MODEL name FROM 'file.onnx'".to_owned(),
            None => format!("the models are {all}; CREATE MODEL adds more"),
        };
        let installed = self.missing_folder().map(|folder| {
            format!(
                "; none are installed, because there is no folder '{}': SEEQUEL_HOME names another home, and \
                 `make setup` in Seequel's folder makes one with two models",
                folder.display()
            )
        });
        let hint = listed + installed.as_deref().unwrap_or_default();
        Error::UnknownModel { name: name.to_owned(), hint }
    }

    /// The home, or its folder of installed models, if it does not exist.
    fn missing_folder(&self) -> Option<PathBuf> {
        [self.home.clone(), self.home.join(MODELS)].into_iter().find(|folder| !folder.exists())
    }
}

/// Returns an error if a model of that name can't be registered.
fn check_name(entries: &BTreeMap<String, Entry>, name: &str, or_replace: bool) -> Result<()> {
    let reason = "there is one of that name; CREATE OR REPLACE MODEL replaces it".to_owned();
    match entries.contains_key(name) {
        true if !or_replace => Err(Error::Model { model: name.to_owned(), reason }),
        true => check_unused(entries, name),
        false => Ok(()),
    }
}

/// Returns an error if the model is a member of an ensemble.
fn check_unused(entries: &BTreeMap<String, Entry>, name: &str) -> Result<()> {
    let has_member = |entry: &&Entry| match entry {
        Entry::Registered(Predictor::Ensemble(ensemble)) => {
            ensemble.members().iter().any(|member| member.spec().name == name)
        }
        Entry::Registered(Predictor::Model(_) | Predictor::Decoder) | Entry::Found(_) => false,
    };
    match entries.values().find(has_member) {
        Some(Entry::Registered(ensemble)) => {
            let reason =
                format!("it is a member of the ensemble '{0}'; DROP MODEL '{0}' first", ensemble.name());
            Err(Error::Model { model: name.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// The models in the subfolders of `folder`, by subfolder name; none if `folder` can't be read.
fn found_in(folder: &Path) -> BTreeMap<String, Entry> {
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let models = folders.filter_map(|entry| {
        let file = entry.path().join(MODEL_FILE);
        let name = entry.file_name().into_string().ok()?;
        file.is_file().then_some((name, Entry::Found(file)))
    });
    models.collect()
}

/// Refuses an ONNX file of more than `most` bytes, before it is read. Whether there is one is checked later.
fn check_size(file: &Path, most: u64) -> Result<(), String> {
    let Ok(file) = locate(file) else { return Ok(()) };
    match std::fs::metadata(&file).map_or(0, |metadata| metadata.len()) {
        bytes if bytes > most => Err(format!(
            "the {bytes} bytes of '{}' are more than inference.max_model_bytes ({most})",
            file.display()
        )),
        _ => Ok(()),
    }
}

fn local_file(statement: &CreateModel) -> Result<PathBuf> {
    let location = &statement.location;
    match location.split_once("://") {
        None => Ok(PathBuf::from(location)),
        Some(("file", path)) => Ok(PathBuf::from(path)),
        Some((scheme, _)) => Err(Error::Model {
            model: statement.name.clone(),
            reason: format!("'{location}': not fetched from {scheme}:// yet; ModelRegistry::fetch does that"),
        }),
    }
}
