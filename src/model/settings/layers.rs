//! The settings of one model in layers: the value of a key comes from the strongest layer that has it.
//!
//! ```text
//! OPTIONS ► seequel.json ► preprocessor_config.json ► config.json ► ONNX file ► default
//! strongest                 (Hugging Face)                                      weakest
//! ```
//!
//! Every value is recorded with its source, for `DESCRIBE MODEL`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::nearest::nearest;
use crate::{Error, Result};

/// Every key of OPTIONS and `seequel.json`, in the order of the documentation, `docs/seequel.schema.json`.
pub(crate) const KEYS: [&str; 27] = [
    "task",
    "input_size",
    "layout",
    "channels",
    "rescale",
    "mean",
    "std",
    "resize",
    "padding",
    "crop_fraction",
    "interpolation",
    "labels",
    "background",
    "activation",
    "output",
    "embedding",
    "anchors",
    "confidence",
    "iou",
    "sha256",
    "device",
    "batch_size",
    "concurrency",
    "num_cpus",
    "num_gpus",
    "precision",
    "provider_options",
];

/// Line of `DESCRIBE MODEL` for the head of a detector, after the key [`ANCHORS`]; not a key itself.
pub(crate) const HEAD: &str = "head";

/// Key of the anchors of a detector.
const ANCHORS: &str = "anchors";

/// Key that `seequel.json` may have to name its schema for editors.
const SCHEMA: &str = "$schema";

/// Where a value comes from, strongest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The OPTIONS of `CREATE MODEL`.
    Options,
    /// `seequel.json` beside the ONNX file.
    SeequelJson,
    /// A Hugging Face file beside the ONNX file, by its name.
    HuggingFace(&'static str),
    /// The ONNX file itself.
    Graph,
    /// Seequel's default, used if no source has a value.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Options => "OPTIONS",
            Self::SeequelJson => "seequel.json",
            Self::HuggingFace(file) => file,
            Self::Graph => "ONNX file",
            Self::Default => "default",
        })
    }
}

/// One line of `DESCRIBE MODEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedSetting {
    /// Key, as in OPTIONS.
    pub name: &'static str,
    /// The resolved value, in a short form.
    pub value: String,
    /// Source of the value.
    pub source: Source,
    /// Why the ONNX file has the value, or why it is the default, where that is not obvious.
    pub reason: Option<String>,
}

impl ResolvedSetting {
    /// Whether no source has a value, so that it is assumed.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == Source::Default
    }

    /// The source, with the reason if there is one, as in `ONNX file: output 'logits' is named as scores`.
    #[must_use]
    pub fn origin(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {reason}", self.source),
            None => self.source.to_string(),
        }
    }
}

/// Keys and values of one source.
pub(crate) type Layer = BTreeMap<String, Value>;

/// The layers of one model, and the settings resolved so far.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    model: &'a str,
    /// Strongest first.
    layers: Vec<(Source, Layer)>,
    resolved: BTreeMap<&'static str, ResolvedSetting>,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(model: &'a str) -> Self {
        Self { model, layers: Vec::new(), resolved: BTreeMap::new() }
    }

    /// Adds a layer that is weaker than those before it; null values count as absent.
    ///
    /// # Errors
    /// If the user wrote the layer and a key is unknown.
    pub(crate) fn push(&mut self, source: Source, layer: Layer) -> Result<()> {
        let layer: Layer = layer.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let unknown_key = layer.keys().find(|key| !KEYS.contains(&key.as_str()) && *key != SCHEMA).cloned();
        let is_ours = matches!(source, Source::Options | Source::SeequelJson);
        self.layers.push((source, layer));
        match unknown_key {
            Some(key) if is_ours => Err(self.option_error(&key, &unknown(&key))),
            _ => Ok(()),
        }
    }

    /// Removes the keys `of_output` from each layer whose task matches `is_other_task`: a classifier's labels and
    /// softmax don't apply to an embedding from the same file.
    pub(crate) fn retain_task(&mut self, is_other_task: impl Fn(&Value) -> bool, of_output: &[&str]) {
        for (_, layer) in &mut self.layers {
            if layer.get("task").is_some_and(&is_other_task) {
                layer.retain(|key, _| !of_output.contains(&key.as_str()));
            }
        }
    }

    /// Removes keys from the layers of Hugging Face's files, which the graph contradicts.
    pub(crate) fn ignore_hugging_face(&mut self, keys: &[&str]) {
        for (source, layer) in &mut self.layers {
            if matches!(source, Source::HuggingFace(_)) {
                layer.retain(|key, _| !keys.contains(&key.as_str()));
            }
        }
    }

    /// Rejects image options that the user wrote for a model without an image; `reason` is the error message.
    ///
    /// # Errors
    /// If there is such an option; names the first.
    pub(crate) fn refuse_image_options(&self, reason: &str) -> Result<()> {
        let on_images =
            KEYS.into_iter().skip_while(|key| *key != "input_size").take_while(|key| *key != "labels");
        let given = on_images.into_iter().find(|key| {
            self.strongest(key)
                .is_some_and(|(_, source)| matches!(source, Source::Options | Source::SeequelJson))
        });
        given.map_or(Ok(()), |key| Err(self.option_error(key, reason)))
    }

    /// Whether OPTIONS or a file has a value of a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.strongest(key).is_some()
    }

    fn strongest(&self, key: &str) -> Option<(&Value, &Source)> {
        self.layers.iter().find_map(|(source, layer)| Some((layer.get(key)?, source)))
    }

    /// Returns the strongest value of a key, parsed by `read`, and its source.
    ///
    /// # Errors
    /// If `read` rejects the value.
    pub(crate) fn get<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Value, &Source) -> Result<T, String>,
    ) -> Result<Option<(T, Source)>> {
        let Some((value, source)) = self.strongest(key) else {
            return Ok(None);
        };
        let value = read(value, source).map_err(|reason| self.option_error(key, &reason))?;
        Ok(Some((value, source.clone())))
    }

    /// Resolves a key: its strongest value, else the default.
    ///
    /// # Errors
    /// If `read` rejects the value.
    pub(crate) fn resolve<T: fmt::Display>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
        default: T,
    ) -> Result<T> {
        self.resolve_with_graph(key, read, None, default)
    }

    /// Resolves a key: its strongest value, else the value from the ONNX file, else the default.
    ///
    /// # Errors
    /// If `read` rejects the value.
    pub(crate) fn resolve_with_graph<T: fmt::Display>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
        graph: Option<T>,
        default: T,
    ) -> Result<T> {
        let given = self.get(key, |value, _| read(value))?;
        let known = given.or_else(|| Some((graph?, Source::Graph)));
        let (value, source) = known.unwrap_or((default, Source::Default));
        self.note(key, &value, source);
        Ok(value)
    }

    /// Records the resolved value of a key.
    pub(crate) fn note(&mut self, name: &'static str, value: &impl fmt::Display, source: Source) {
        let setting = ResolvedSetting { name, value: value.to_string(), source, reason: None };
        self.resolved.insert(name, setting);
    }

    /// Records why the ONNX file or the default gives a key its value; does nothing if a stronger source does.
    pub(crate) fn explain(&mut self, name: &str, reason: &str) {
        if let Some(setting) = self.resolved.get_mut(name)
            && matches!(setting.source, Source::Graph | Source::Default)
        {
            setting.reason = Some(reason.to_string());
        }
    }

    /// Removes the resolved values of keys that don't apply to the model.
    pub(crate) fn leave_out(&mut self, keys: &[&str]) {
        self.resolved.retain(|key, _| !keys.contains(key));
    }

    /// Returns the resolved settings, in the order of [`KEYS`].
    pub(crate) fn into_resolved(mut self) -> Vec<ResolvedSetting> {
        let lines = KEYS.iter().flat_map(|key| [Some(*key), (*key == ANCHORS).then_some(HEAD)]);
        lines.flatten().filter_map(|name| self.resolved.remove(name)).collect()
    }

    /// An error of the whole model.
    pub(crate) fn model_error(&self, reason: impl Into<String>) -> Error {
        Error::Model { model: self.model.to_string(), reason: reason.into() }
    }

    /// An error of one option, with the file it comes from unless it is from OPTIONS.
    pub(crate) fn option_error(&self, option: &str, reason: &str) -> Error {
        let reason = match self.strongest(option) {
            Some((_, source)) if *source != Source::Options => format!("{reason} (from {source})"),
            _ => reason.to_string(),
        };
        Error::Option { model: self.model.to_string(), option: option.to_string(), reason }
    }
}

/// The reason for an unknown key. Suggests the nearest key.
fn unknown(key: &str) -> String {
    match nearest(key, KEYS) {
        Some(known) => format!("unknown option; did you mean '{known}'?"),
        None => format!("unknown option; the options are {}", KEYS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use itertools::Itertools;
    use serde_json::json;

    use super::*;
    use crate::model::settings::values;

    fn layer(key: &str, value: Value) -> Layer {
        Layer::from([(key.to_string(), value)])
    }

    #[test]
    fn strongest_layer_wins_and_null_is_skipped() -> Result<()> {
        let mut settings = Settings::new("m");
        settings.push(Source::Options, layer("std", Value::Null))?;
        settings.push(Source::SeequelJson, layer("std", json!(128)))?;
        settings.push(Source::HuggingFace("config.json"), layer("std", json!(0.5)))?;
        assert_eq!(settings.resolve("std", values::number, 1.0)?, 128.0);
        assert_eq!(settings.resolve("rescale", values::number, 1.0)?, 1.0);
        let lines = settings.into_resolved().into_iter().map(|line| (line.name, line.value, line.source));
        let rescale = ("rescale", "1".to_string(), Source::Default);
        assert_eq!(lines.collect::<Vec<_>>(), [rescale, ("std", "128".to_string(), Source::SeequelJson)]);
        Ok(())
    }

    #[test]
    fn schema_documents_the_keys() {
        let schema: Value = serde_json::from_str(include_str!("../../../docs/seequel.schema.json")).unwrap();
        let documented = schema["properties"].as_object().unwrap();
        let mut expected = [&[SCHEMA], KEYS.as_slice()].concat();
        expected.sort_unstable();
        assert_eq!(documented.keys().sorted().collect::<Vec<_>>(), expected);
        for (key, property) in documented {
            assert!(property["description"].is_string(), "{key}");
        }
    }

    #[test]
    fn unknown_option_suggests_the_nearest_or_lists_all() {
        let push =
            |source, key| Settings::new("m").push(source, layer(key, json!(1))).map_err(|e| e.to_string());
        let near = "model 'm': option 'lables': unknown option; did you mean 'labels'?";
        assert_eq!(push(Source::Options, "lables"), Err(near.to_string()));
        let json = "model 'm': option 'mean_': unknown option; did you mean 'mean'? (from seequel.json)";
        assert_eq!(push(Source::SeequelJson, "mean_"), Err(json.to_string()));
        let far = push(Source::Options, "optimizer").err().unwrap_or_default();
        assert!(
            far.starts_with(
                "model 'm': option 'optimizer': unknown option; the options are task, input_size"
            )
        );
        assert_eq!(push(Source::SeequelJson, "$schema"), Ok(()));
        assert_eq!(push(Source::HuggingFace("config.json"), "hidden_size"), Ok(()));
    }
}
