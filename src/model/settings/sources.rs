//! The sources of a model's settings: OPTIONS, and the JSON files beside the ONNX file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::files::{MAX_SIDE_BYTES, read_bounded, side_folders};
use super::hugging_face;
use super::layers::{Layer, Settings, Source};
use crate::Result;

/// Adds the layers of one model, strongest first.
///
/// # Errors
/// If a file can't be read, is not a JSON object, or a key of OPTIONS or `seequel.json` is unknown.
pub(crate) fn push_layers(
    settings: &mut Settings<'_>,
    file: &Path,
    options: &BTreeMap<String, String>,
) -> Result<()> {
    let options = options.iter().map(|(key, value)| (key.to_ascii_lowercase(), Value::from(value.as_str())));
    settings.push(Source::Options, options.collect())?;
    push_file(settings, file, "seequel.json", Source::SeequelJson, |object| {
        object.clone().into_iter().collect()
    })?;
    let (pixels, network) = ("preprocessor_config.json", "config.json");
    push_file(settings, file, pixels, Source::HuggingFace(pixels), hugging_face::preprocessor)?;
    push_file(settings, file, network, Source::HuggingFace(network), hugging_face::config)
}

/// Adds the layer of a JSON file, if it exists beside the model.
fn push_file(
    settings: &mut Settings<'_>,
    model: &Path,
    name: &str,
    source: Source,
    translate: impl FnOnce(&Map<String, Value>) -> Layer,
) -> Result<()> {
    let Some(path) = side_folders(model).map(|folder| folder.join(name)).find(|path| path.is_file()) else {
        return Ok(());
    };
    let bytes = read_bounded(&path, MAX_SIDE_BYTES).map_err(|reason| settings.model_error(reason))?;
    let object = serde_json::from_slice::<Map<String, Value>>(&bytes);
    let object = object.map_err(|error| {
        settings.model_error(format!("'{}' is not a JSON object: {error}", path.display()))
    })?;
    settings.push(source, translate(&object))
}

#[cfg(test)]
mod tests {
    use crate::model::Folder;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn errors_in_files_name_the_file() -> TestResult {
        let labels = r#"{"labels": "labels.txt"}"#;
        let errors = [
            Folder::classifier()?.put("config.json", "[]")?.error(&[]),
            Folder::classifier()?.put("seequel.json", "{")?.error(&[]),
            Folder::classifier()?.put("seequel.json", r#"{"lables": 1}"#)?.error(&[]),
            Folder::classifier()?.put("seequel.json", labels)?.error(&[]),
            Folder::classifier()?.put("seequel.json", labels)?.put("labels.txt", "cat\ndog\nfox")?.error(&[]),
            Folder::classifier()?.put("preprocessor_config.json", r#"{"rescale_factor": 0}"#)?.error(&[]),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': 'config.json' is not a JSON object: invalid type: sequence, expected a map at line 1 column 0
        model 'm': 'seequel.json' is not a JSON object: EOF while parsing an object at line 1 column 1
        model 'm': option 'lables': unknown option; did you mean 'labels'? (from seequel.json)
        model 'm': option 'labels': there is no file 'labels.txt' (from seequel.json)
        model 'm': option 'labels': labels.txt has 3 labels but output 'logits' has 2 classes (from seequel.json)
        model 'm': option 'rescale': 0 would make all pixels equal (from preprocessor_config.json)
        ");
        Ok(())
    }

    #[test]
    fn stronger_source_overrides_an_invalid_value() -> TestResult {
        let wrong = Folder::classifier()?.put("preprocessor_config.json", r#"{"rescale_factor": 0}"#)?;
        assert!(wrong.resolve(&[("rescale", "1/255")]).is_ok());
        Ok(())
    }
}
