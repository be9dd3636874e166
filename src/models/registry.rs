//! A stand-in for the registry, to be replaced by the real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::error::DataFusionError;

use crate::{Error, Result};

/// What `CREATE MODEL` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateModel {
    /// Name.
    pub name: String,
    /// Replace one of that name.
    pub or_replace: bool,
    /// Keep one of that name.
    pub if_not_exists: bool,
    /// The ONNX file.
    pub location: String,
    /// The rest.
    pub options: BTreeMap<String, String>,
}

/// The models of a session.
#[derive(Debug, Default)]
pub struct ModelRegistry {
    models: Mutex<BTreeMap<String, CreateModel>>,
}

impl ModelRegistry {
    /// Adds a model.
    pub fn create(&self, statement: CreateModel) -> Result<()> {
        self.models
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(statement.name.clone(), statement);
        Ok(())
    }

    /// Removes a model.
    pub fn drop(&self, name: &str, if_exists: bool) -> Result<()> {
        let removed = self
            .models
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        if removed.is_none() && !if_exists {
            return Err(unknown(name));
        }
        Ok(())
    }

    /// All of them.
    pub fn show(&self) -> Result<RecordBatch> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let names = Arc::new(StringArray::from_iter_values(models.keys())) as ArrayRef;
        Ok(RecordBatch::try_from_iter([("name", names)]).map_err(DataFusionError::from)?)
    }

    /// One of them.
    pub fn describe(&self, name: &str) -> Result<RecordBatch> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let model = models.get(name).ok_or_else(|| unknown(name))?;
        let locations = Arc::new(StringArray::from_iter_values([&model.location])) as ArrayRef;
        Ok(RecordBatch::try_from_iter([("location", locations)]).map_err(DataFusionError::from)?)
    }
}

fn unknown(name: &str) -> Error {
    Error::UnknownModel {
        name: name.to_string(),
        hint: "CREATE MODEL makes one".to_string(),
    }
}
