//! Finds the quantized twin of a model among those that are installed.

use std::fs;
use std::sync::Arc;

use crate::model::{Model, ModelRegistry, ModelSpec};
use crate::quantize::Record;

/// The model that was quantized from `source` last, if it is still there.
pub(super) fn twin_of(models: &ModelRegistry, source: &ModelSpec) -> Option<Arc<Model>> {
    let made = |name: &String| {
        let folder = models.folder_of(name);
        let record = Record::beside(&folder.join("model.onnx"))?;
        let made = fs::metadata(&folder).and_then(|metadata| metadata.modified()).ok()?;
        record.is_of(source).then(|| (made, name.clone()))
    };
    let (_, name) = models.names().iter().filter_map(made).max()?;
    models.get(&name).ok()
}
