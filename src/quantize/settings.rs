//! The settings that a quantized model has from its original, as `seequel.json`.

use serde_json::{Map, Value, json};

use super::options::Calibration;
use crate::model::ModelSpec;
use crate::model::settings::HEAD;
use crate::tasks::detection::Layout;

/// Settings that stay out unless someone chose them: they depend on the machine rather than on the model.
const OF_MACHINE: [&str; 6] =
    ["device", "batch_size", "concurrency", "num_cpus", "num_gpus", "provider_options"];

/// Settings with a short form in `DESCRIBE MODEL` that can't be read back, or that don't hold for the new file.
const WRITTEN_APART: [&str; 6] = ["labels", "background", "anchors", HEAD, "sha256", "precision"];

/// Every setting of `spec` with its value. All are written, defaults too: what the original's graph shows, such as a
/// normalisation, may no longer be recognised in the new one.
pub(super) fn settings_of(spec: &ModelSpec, calibration: Calibration) -> Value {
    let mut settings = Map::new();
    for setting in &spec.settings {
        let is_left_out = WRITTEN_APART.contains(&setting.name)
            || OF_MACHINE.contains(&setting.name) && setting.is_default();
        if !is_left_out {
            settings.insert(setting.name.to_owned(), Value::from(setting.value.as_str()));
        }
    }
    if !spec.labels.is_empty() {
        let labels: Vec<_> = (0..spec.labels.len()).map(|class| spec.labels.get(class)).collect();
        // With the background, if there is one.
        settings.insert("labels".to_owned(), json!(labels));
    }
    if let Some(Layout::Anchors(heads)) = spec.detector.as_ref().map(|detector| &detector.layout) {
        let anchors = heads.iter().map(|head| (head.output.clone(), json!(head.anchors)));
        settings.insert("anchors".to_owned(), Value::Object(anchors.collect()));
    }
    settings.insert("precision".to_owned(), json!("int8"));
    if calibration == Calibration::None {
        // Ranges are those of a whole batch, and a prediction must not depend on the other images in it.
        settings.insert("batch_size".to_owned(), json!(1));
    }
    Value::Object(settings)
}
