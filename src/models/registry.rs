//! The models of an engine, by name.
//!
//! Models of the set-up, `home/models/<name>/model.onnx`, are there from the start; their files are read when they are
//! first used, so that a session that needs none of them starts at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use itertools::Itertools;
use parking_lot::RwLock;

use super::model::Model;
use super::onnx::Runtime;
use super::spec::ModelSpec;
use crate::{Error, Result};

/// The file that makes a folder under `home/models` a model.
const MODEL_FILE: &str = "model.onnx";

/// Models by name, shared by the sessions of an engine.
#[derive(Debug)]
pub struct ModelRegistry {
    runtime: Runtime,
    entries: RwLock<BTreeMap<String, Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// A model of the set-up that nobody has asked for yet.
    Found(PathBuf),
    Registered(Arc<Model>),
}

/// What `CREATE MODEL` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateModel {
    /// Name of the model in SQL.
    pub name: String,
    /// Replace a model of that name.
    pub or_replace: bool,
    /// Leave a model of that name as it is.
    pub if_not_exists: bool,
    /// Path or `file://` URL of the ONNX file.
    pub location: String,
    /// OPTIONS, as text.
    pub options: BTreeMap<String, String>,
}

impl ModelRegistry {
    /// A registry with the models found in `home/models`, to run on the ONNX Runtime found in `home/lib` or elsewhere.
    #[must_use]
    pub fn new(home: impl AsRef<Path>) -> Self {
        let home = home.as_ref();
        Self { runtime: Runtime::new(home), entries: RwLock::new(found_in(&home.join("models"))) }
    }

    /// The model of that name, in this spelling or in lower case, as SQL folds names.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], or what is wrong with the files of a model of the set-up.
    pub fn get(&self, name: &str) -> Result<Arc<Model>> {
        let folded = name.to_lowercase();
        let found = |(name, entry): (&String, &Entry)| (name.clone(), entry.clone());
        let entry = {
            let entries = self.entries.read();
            entries.get_key_value(name).or_else(|| entries.get_key_value(&folded)).map(found)
        };
        match entry {
            None => Err(self.unknown(name)),
            Some((_, Entry::Registered(model))) => Ok(model),
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
    fn register_found(&self, name: &str, model: Arc<Model>) -> Arc<Model> {
        match self.entries.write().get_mut(name) {
            Some(Entry::Registered(registered)) => Arc::clone(registered),
            Some(found) => {
                *found = Entry::Registered(Arc::clone(&model));
                model
            }
            None => model,
        }
    }

    /// Registers a model. Reads its files, and loads nothing.
    ///
    /// # Errors
    /// A name that is taken, a location that is no file, and everything that is wrong with file or options.
    pub fn create(&self, statement: &CreateModel) -> Result<()> {
        let CreateModel { name, or_replace, if_not_exists, location: _, options } = statement;
        let taken = |entries: &BTreeMap<String, Entry>| {
            let reason = "there is one of that name; CREATE OR REPLACE MODEL replaces it".to_owned();
            let is_taken = entries.contains_key(name) && !or_replace;
            if is_taken { Err(Error::Model { model: name.clone(), reason }) } else { Ok(()) }
        };
        match taken(&self.entries.read()) {
            Err(_) if *if_not_exists => return Ok(()),
            result => result?,
        }
        let model = self.resolve(name, &local_file(statement)?, options)?;
        // Asks the runtime, if it is installed, whether the device is to be had.
        model.provider()?;
        let mut entries = self.entries.write();
        match taken(&entries) {
            Err(_) if *if_not_exists => return Ok(()),
            result => result?,
        }
        entries.insert(name.clone(), Entry::Registered(model));
        Ok(())
    }

    /// `DROP MODEL`: forgets a model. Queries that use it finish; its files stay.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], unless `if_exists`.
    pub fn remove(&self, name: &str, if_exists: bool) -> Result<()> {
        let removed = self.entries.write().remove(name);
        if removed.is_none() && !if_exists {
            return Err(self.unknown(name));
        }
        Ok(())
    }

    /// `SHOW MODELS`: a row for each model, with what is wrong with it where that is so.
    ///
    /// # Errors
    /// A bug: columns of unequal length.
    pub fn show(&self) -> Result<RecordBatch> {
        let names = self.names();
        let models: Vec<_> = names.iter().map(|name| self.get(name)).collect();
        let column = |describe: &dyn Fn(&ModelSpec) -> String| -> ArrayRef {
            let values = models.iter().map(|model| model.as_ref().ok().map(|model| describe(model.spec())));
            Arc::new(values.collect::<StringArray>())
        };
        let errors = models.iter().map(|model| model.as_ref().err().map(ToString::to_string));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("name", Arc::new(StringArray::from_iter_values(&names)) as ArrayRef, false),
            ("task", column(&|spec| spec.task.to_string()), true),
            ("input", column(&|spec| format!("{}x{}", spec.input.width, spec.input.height)), true),
            ("classes", column(&|spec| spec.output.classes.to_string()), true),
            ("device", column(&|spec| spec.resources.device.to_string()), true),
            ("file", column(&|spec| spec.file.display().to_string()), true),
            ("error", Arc::new(errors.collect::<StringArray>()), true),
        ]);
        Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
    }

    /// `DESCRIBE MODEL`: each setting with its value and where that came from, then what follows for this machine.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn describe(&self, name: &str) -> Result<RecordBatch> {
        let model = self.get(name)?;
        let (provider, sizing) = (model.provider()?, model.sizing()?);
        let here = [
            ("runs on", provider.to_string()),
            ("images a batch", sizing.batch_rows.to_string()),
            ("sessions", sizing.sessions.to_string()),
            ("threads a session", sizing.threads.to_string()),
        ];
        let settings = model.spec().settings.iter();
        let settings = settings
            .map(|setting| (setting.name.to_owned(), setting.value.clone(), setting.source.to_string()));
        let here = here.map(|(name, value)| (name.to_owned(), value, "this machine".to_owned()));
        let (names, values, sources): (Vec<_>, Vec<_>, Vec<_>) = settings.chain(here).multiunzip();
        let column = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
        let batch = RecordBatch::try_from_iter([
            ("setting", column(names)),
            ("value", column(values)),
            ("source", column(sources)),
        ]);
        Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
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
            reason: format!("'{location}': models are read from local files so far, not over {scheme}://"),
        }),
    }
}
