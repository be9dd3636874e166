//! Settings of one model in layers: the value of a key is that of the strongest layer that has it.
//!
//! ```text
//! OPTIONS ► seequel.json ► preprocessor_config.json ► config.json ► ONNX file ► default
//! strongest                 (Hugging Face)                                      weakest
//! ```
//!
//! Every value is noted with its source, for `DESCRIBE MODEL`.

use std::collections::BTreeMap;
use std::fmt;

use datafusion::common::utils::datafusion_strsim::levenshtein;
use serde_json::Value;

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

/// A key that `seequel.json` may have for editors, which look there for the schema.
const SCHEMA: &str = "$schema";

/// Where a value comes from, strongest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The OPTIONS of `CREATE MODEL`.
    Options,
    /// `seequel.json` beside the ONNX file.
    SeequelJson,
    /// A file of Hugging Face's beside the ONNX file, by its name.
    HuggingFace(&'static str),
    /// The ONNX file itself.
    Graph,
    /// No source gave a value: Seequel's default.
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
    /// Key as OPTIONS has it.
    pub name: &'static str,
    /// The value that holds, in a short form.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// Keys and values of one source.
pub(crate) type Layer = BTreeMap<String, Value>;

/// The layers of one model, and what was resolved so far.
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
        let stranger = layer.keys().find(|key| !KEYS.contains(&key.as_str()) && *key != SCHEMA).cloned();
        let is_ours = matches!(source, Source::Options | Source::SeequelJson);
        self.layers.push((source, layer));
        match stranger {
            Some(key) if is_ours => Err(self.option_error(&key, &unknown(&key))),
            _ => Ok(()),
        }
    }

    /// Removes the keys `of_output` from each layer whose task is another one, as `is_other_task` tells: a classifier's
    /// labels and softmax are not for the embedding that the same file gives.
    pub(crate) fn retain_task(&mut self, is_other_task: impl Fn(&Value) -> bool, of_output: &[&str]) {
        for (_, layer) in &mut self.layers {
            if layer.get("task").is_some_and(&is_other_task) {
                layer.retain(|key, _| !of_output.contains(&key.as_str()));
            }
        }
    }

    /// Refuses options on an image that the user wrote for a model without one; `reason` says so.
    ///
    /// # Errors
    /// The first such option.
    pub(crate) fn refuse_image_options(&self, reason: &str) -> Result<()> {
        let on_images =
            KEYS.into_iter().skip_while(|key| *key != "input_size").take_while(|key| *key != "labels");
        let said = on_images.into_iter().find(|key| {
            self.strongest(key)
                .is_some_and(|(_, source)| matches!(source, Source::Options | Source::SeequelJson))
        });
        said.map_or(Ok(()), |key| Err(self.option_error(key, reason)))
    }

    fn strongest(&self, key: &str) -> Option<(&Value, &Source)> {
        self.layers.iter().find_map(|(source, layer)| Some((layer.get(key)?, source)))
    }

    /// Returns the strongest value of a key, read by `read`, and its source.
    ///
    /// # Errors
    /// If `read` refuses the value.
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
    /// If `read` refuses the value.
    pub(crate) fn resolve<T: fmt::Display>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
        default: T,
    ) -> Result<T> {
        self.resolve_with_graph(key, read, None, default)
    }

    /// Resolves a key: its strongest value, else what the ONNX file says, else the default.
    ///
    /// # Errors
    /// If `read` refuses the value.
    pub(crate) fn resolve_with_graph<T: fmt::Display>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
        graph: Option<T>,
        default: T,
    ) -> Result<T> {
        let said = self.get(key, |value, _| read(value))?;
        let known = said.or_else(|| Some((graph?, Source::Graph)));
        let (value, source) = known.unwrap_or((default, Source::Default));
        self.note(key, &value, source);
        Ok(value)
    }

    /// Notes the value that holds for a key.
    pub(crate) fn note(&mut self, name: &'static str, value: &impl fmt::Display, source: Source) {
        self.resolved.insert(name, ResolvedSetting { name, value: value.to_string(), source });
    }

    /// Returns what was resolved, in the order of [`KEYS`].
    pub(crate) fn into_resolved(mut self) -> Vec<ResolvedSetting> {
        KEYS.iter().filter_map(|key| self.resolved.remove(key)).collect()
    }

    /// An error of the model as a whole.
    pub(crate) fn model_error(&self, reason: impl Into<String>) -> Error {
        Error::Model { model: self.model.to_string(), reason: reason.into() }
    }

    /// An error of one option, with the file that it stands in unless that is the statement just typed.
    pub(crate) fn option_error(&self, option: &str, reason: &str) -> Error {
        let reason = match self.strongest(option) {
            Some((_, source)) if *source != Source::Options => format!("{reason} (from {source})"),
            _ => reason.to_string(),
        };
        Error::Option { model: self.model.to_string(), option: option.to_string(), reason }
    }
}

/// Names the key that was probably meant: one that is at most a third of the letters away.
fn unknown(key: &str) -> String {
    let nearest = KEYS.iter().min_by_key(|known| levenshtein(known, key));
    match nearest {
        Some(known) if levenshtein(known, key) * 3 <= known.len() => {
            format!("there is no such option; did you mean '{known}'?")
        }
        _ => format!("there is no such option; there are {}", KEYS.join(", ")),
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
    fn the_strongest_layer_wins_and_null_is_no_value() -> Result<()> {
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
    fn the_schema_documents_the_keys() {
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
    fn an_unknown_key_is_refused_with_the_nearest_or_all() {
        let push =
            |source, key| Settings::new("m").push(source, layer(key, json!(1))).map_err(|e| e.to_string());
        let near = "model 'm': option 'lables': there is no such option; did you mean 'labels'?";
        assert_eq!(push(Source::Options, "lables"), Err(near.to_string()));
        let json =
            "model 'm': option 'mean_': there is no such option; did you mean 'mean'? (from seequel.json)";
        assert_eq!(push(Source::SeequelJson, "mean_"), Err(json.to_string()));
        let far = push(Source::Options, "optimizer").err().unwrap_or_default();
        assert!(far.starts_with(
            "model 'm': option 'optimizer': there is no such option; there are task, input_size"
        ));
        assert_eq!(push(Source::SeequelJson, "$schema"), Ok(()));
        assert_eq!(push(Source::HuggingFace("config.json"), "hidden_size"), Ok(()));
    }
}
