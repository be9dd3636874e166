//! The models and ensembles of an engine, by name.
//!
//! Models of the set-up, `home/models/<name>/model.onnx`, are there from the start; their files are read when they are
//! first used, so that a session that needs none of them starts at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use itertools::Itertools;
use parking_lot::RwLock;

use super::ensemble::{CreateEnsemble, Ensemble};
use super::predictor::Predictor;
use crate::model::fetch;
use crate::model::runtime::{Model, Runtime};
use crate::model::settings::CreateModel;
use crate::model::spec::ModelSpec;
use crate::{Error, Result};

/// The file that makes a folder under `home/models` a model.
const MODEL_FILE: &str = "model.onnx";

/// Models by name, shared by the sessions of an engine.
#[derive(Debug)]
pub struct ModelRegistry {
    home: PathBuf,
    runtime: Runtime,
    entries: RwLock<BTreeMap<String, Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// A model of the set-up that nobody has asked for yet.
    Found(PathBuf),
    Registered(Predictor),
}

impl ModelRegistry {
    /// A registry with the models found in `home/models`, to run on the ONNX Runtime found in `home/lib` or elsewhere.
    #[must_use]
    pub fn new(home: impl AsRef<Path>) -> Self {
        let home = home.as_ref();
        let entries = RwLock::new(found_in(&home.join("models")));
        Self { home: home.to_owned(), runtime: Runtime::new(home), entries }
    }

    /// The model of that name, in this spelling or in lower case, as SQL folds names.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], what is wrong with the files of a model of the set-up, or that it is an ensemble.
    pub fn get(&self, name: &str) -> Result<Arc<Model>> {
        match self.predictor(name)? {
            Predictor::Model(model) => Ok(model),
            Predictor::Ensemble(ensemble) => {
                let reason = "it is an ensemble, which is no model of its own".to_owned();
                Err(Error::Model { model: ensemble.name().to_owned(), reason })
            }
        }
    }

    /// The model or ensemble of that name, in this spelling or in lower case, as SQL folds names.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], or what is wrong with the files of a model of the set-up.
    pub fn predictor(&self, name: &str) -> Result<Predictor> {
        let folded = name.to_lowercase();
        let found = |(name, entry): (&String, &Entry)| (name.clone(), entry.clone());
        let entry = {
            let entries = self.entries.read();
            entries.get_key_value(name).or_else(|| entries.get_key_value(&folded)).map(found)
        };
        match entry {
            None => Err(self.unknown(name)),
            Some((_, Entry::Registered(predictor))) => Ok(predictor),
            Some((name, Entry::Found(file))) => {
                let model = self.resolve(&name, &file, &BTreeMap::new())?;
                Ok(self.register_found(&name, model))
            }
        }
    }

    /// The names of all models, in order. Reads no file.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.entries.read().keys().cloned().collect()
    }

    /// Registers a model of the set-up, unless another use of it, or CREATE, was faster.
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

    /// Fetches the file of a statement that names one elsewhere, and returns the statement with the path it has here.
    /// A name that is taken fetches nothing.
    ///
    /// # Errors
    /// A location that can't be reached or refuses, a file that is too large or not the one of the option `sha256`.
    pub async fn fetch(&self, statement: CreateModel) -> Result<CreateModel> {
        let is_taken = self.entries.read().contains_key(&statement.name) && !statement.or_replace;
        if is_taken {
            return Ok(statement);
        }
        let file = fetch::local(&statement, &self.home).await?;
        let location = file.into_os_string().into_string().map_err(|file| Error::Model {
            model: statement.name.clone(),
            reason: format!("'{}' is not UTF-8", file.display()),
        })?;
        Ok(CreateModel { location, ..statement })
    }

    /// Registers a model of a local file; see [`Self::fetch`]. Reads its files, and loads nothing.
    ///
    /// # Errors
    /// A name that is taken, a location that is no file, and everything that is wrong with file or options.
    pub fn create(&self, statement: &CreateModel) -> Result<()> {
        let CreateModel { name, or_replace, if_not_exists, location: _, options } = statement;
        self.register(name, *or_replace, *if_not_exists, || {
            let model = self.resolve(name, &local_file(statement)?, options)?;
            // Asks the runtime, if it is installed, whether the device is available.
            model.provider()?;
            Ok(Predictor::Model(model))
        })
    }

    /// Registers an ensemble. Reads the files of members that nobody used yet, and loads nothing.
    ///
    /// # Errors
    /// A name that is taken, and everything that is wrong with members or options.
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
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>>>()?;
            Ok(Predictor::Ensemble(Arc::new(Ensemble::new(name, members, options)?)))
        })
    }

    /// Registers what `make` makes, unless the name is taken or of use to an ensemble.
    fn register(
        &self,
        name: &str,
        or_replace: bool,
        if_not_exists: bool,
        make: impl FnOnce() -> Result<Predictor>,
    ) -> Result<()> {
        let check = |entries: &BTreeMap<String, Entry>| {
            let reason = "there is one of that name; CREATE OR REPLACE MODEL replaces it".to_owned();
            match entries.contains_key(name) {
                true if !or_replace => Err(Error::Model { model: name.to_owned(), reason }),
                true => check_unused(entries, name),
                false => Ok(()),
            }
        };
        match check(&self.entries.read()) {
            Err(_) if if_not_exists => return Ok(()),
            result => result?,
        }
        let made = make()?;
        let mut entries = self.entries.write();
        match check(&entries) {
            Err(_) if if_not_exists => return Ok(()),
            result => result?,
        }
        entries.insert(name.to_owned(), Entry::Registered(made));
        Ok(())
    }

    /// `DROP MODEL`: forgets a model. Queries that use it finish; its files stay.
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

    fn resolve(&self, name: &str, file: &Path, options: &BTreeMap<String, String>) -> Result<Arc<Model>> {
        Ok(Arc::new(Model::new(ModelSpec::resolve(name, file, options)?, self.runtime.clone())))
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.entries.read().keys().map(|name| format!("'{name}'")).join(", ");
        let hint = if names.is_empty() {
            "there are none: CREATE MODEL name FROM 'file.onnx' makes one, `make setup` in Seequel's folder fetches two"
                .to_owned()
        } else {
            format!("there are {names}, and CREATE MODEL makes more")
        };
        Error::UnknownModel { name: name.to_owned(), hint }
    }
}

/// Refuses to take a model from the ensembles that it is a member of.
fn check_unused(entries: &BTreeMap<String, Entry>, name: &str) -> Result<()> {
    let has_member = |entry: &&Entry| match entry {
        Entry::Registered(Predictor::Ensemble(ensemble)) => {
            ensemble.members().iter().any(|member| member.spec().name == name)
        }
        Entry::Registered(Predictor::Model(_)) | Entry::Found(_) => false,
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

/// The models in the folders of `folder`, by folder name. A folder that can't be read has none.
fn found_in(folder: &Path) -> BTreeMap<String, Entry> {
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let models = folders.filter_map(|entry| {
        let file = entry.path().join(MODEL_FILE);
        let name = entry.file_name().into_string().ok()?;
        file.is_file().then_some((name, Entry::Found(file)))
    });
    models.collect()
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
