//! The names of a model's classes, read from an option or a file.
//!
//! | form | example |
//! |---|---|
//! | text, one class per line | `tench` or, as in ImageNet's synsets, `n01440764 tench, Tinca tinca` |
//! | JSON list | `["tench", "goldfish"]` |
//! | JSON map by class number | `{"0": "tench", "1": "goldfish"}`, also under the key `id2label` |
//! | Keras map | `{"0": ["n01440764", "tench"]}` |
//!
//! WordNet numbers are dropped. The first of a list of synonyms is the name; text with commas is not split.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::settings::{MAX_SIDE_BYTES, Source, keywords, read_bounded, side_folders};

/// Maximum class number in a map; a list is limited by its file size.
const MAX_CLASSES: usize = 1 << 20;

/// The names of a model's classes, by class number; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(Arc<[String]>);

impl Labels {
    /// Returns the name of a class, or its number if it has none.
    #[must_use]
    pub fn get(&self, class: usize) -> Cow<'_, str> {
        match self.0.get(class) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(class.to_string()),
        }
    }

    /// Number of classes with a name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no class has a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.0.to_vec()
    }
}

impl From<Vec<String>> for Labels {
    fn from(names: Vec<String>) -> Self {
        Self(names.into())
    }
}

keywords! {
    /// Position of the background class, for images that show none of the classes, in a classifier's output.
    pub enum Background {
        /// No background class.
        None = "none",
        /// At 0, before the first class, as in the classifiers with 1001 outputs trained with TensorFlow-Slim.
        First = "first",
        /// After the last class.
        Last = "last",
    }
}

/// Labels and a name of their source, for messages.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct FoundLabels {
    pub(crate) labels: Labels,
    /// The path as given by the user, or `the list`.
    pub(crate) place: String,
}

impl FoundLabels {
    /// Adds the name `background` at the position of that class.
    pub(crate) fn beside(self, background: Background) -> Self {
        let classes = self.labels.0.iter().cloned();
        let background_class = || std::iter::once("background".to_string());
        let labels: Vec<String> = match background {
            Background::None => return self,
            Background::First => background_class().chain(classes).collect(),
            Background::Last => classes.chain(background_class()).collect(),
        };
        Self { labels: labels.into(), place: format!("{} with the background", self.place) }
    }
}

/// Reads the value of `labels`: the labels themselves, or the path of a label file.
///
/// Relative paths are resolved against the folders of `model`; those in OPTIONS first against the current directory.
///
/// # Errors
/// A reason that names the source.
pub(crate) fn read(value: &Value, source: &Source, model: &Path) -> Result<FoundLabels, String> {
    let Value::String(text) = value else {
        return Ok(FoundLabels { labels: from_json(value)?.into(), place: "the list".to_string() });
    };
    if text.starts_with(['[', '{']) {
        let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return read(&value, source, model);
    }
    let bytes = read_bounded(&find(text, source, model)?, MAX_SIDE_BYTES)?;
    let names = from_file(&bytes).map_err(|reason| format!("{text}: {reason}"))?;
    Ok(FoundLabels { labels: names.into(), place: text.clone() })
}

/// The file of labels. A model's own files name only files of its folder, since they may come from anywhere.
fn find(text: &str, source: &Source, model: &Path) -> Result<PathBuf, String> {
    let is_inside =
        Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if *source != Source::Options && !is_inside {
        return Err(format!("the file '{text}' is outside the model's folder; OPTIONS may name it"));
    }
    let here = Some(PathBuf::from(text)).filter(|_| *source == Source::Options);
    let mut candidates = here.into_iter().chain(side_folders(model).map(|folder| folder.join(text)));
    candidates.find(|path| path.is_file()).ok_or_else(|| format!("there is no file '{text}'"))
}

/// Parses a file as JSON if it is a list or map, otherwise as lines of text.
fn from_file(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Array(_) | Value::Object(_))) => from_json(&value),
        Err(error) if text.starts_with('{') => Err(format!("not JSON: {error}")),
        _ => from_lines(text),
    }
}

fn from_lines(text: &str) -> Result<Vec<String>, String> {
    let names = text.lines().enumerate().map(|(number, line)| {
        let line = line.trim();
        let name =
            line.split_once(' ').filter(|(first, _)| is_wordnet_number(first)).map_or(line, |(_, rest)| rest);
        if name.is_empty() { Err(format!("line {} is empty", number + 1)) } else { Ok(name.to_string()) }
    });
    some(names.collect::<Result<_, _>>()?)
}

fn from_json(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => some(items.iter().map(name).collect::<Result<_, _>>()?),
        Value::Object(map) => match map.get("id2label") {
            Some(inner @ Value::Object(_)) => from_json(inner),
            _ => some(from_map(map)?),
        },
        _ => Err(format!("{value} is neither a file nor a list of labels")),
    }
}

/// Class numbers missing from the map are used as labels.
fn from_map(map: &Map<String, Value>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for (key, value) in map {
        let class = key.parse::<usize>().ok().filter(|class| *class < MAX_CLASSES);
        let class = class.ok_or_else(|| format!("'{key}' is not the number of a class"))?;
        while names.len() <= class {
            names.push(names.len().to_string());
        }
        names[class] = name(value)?;
    }
    Ok(names)
}

/// The name of one class: text, or the first item of a list that is not a WordNet number.
fn name(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => Some(text.as_str()),
        Value::Array(synonyms) => {
            synonyms.iter().filter_map(Value::as_str).find(|text| !is_wordnet_number(text))
        }
        _ => None,
    };
    text.map(|text| text.trim().to_string()).ok_or_else(|| format!("{value} is not a label"))
}

fn some(names: Vec<String>) -> Result<Vec<String>, String> {
    if names.is_empty() { Err("there are no labels".to_string()) } else { Ok(names) }
}

/// Whether `text` is ImageNet's identifier of a synonym set: `n` and eight digits.
fn is_wordnet_number(text: &str) -> bool {
    let digits = text.strip_prefix('n').filter(|digits| digits.len() == 8);
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        from_file(text.as_bytes())
    }

    #[test]
    fn all_formats_give_the_same_names() {
        let expected = Ok(vec!["tench".to_string(), "goldfish".to_string()]);
        assert_eq!(names("\u{feff}tench\r\ngoldfish\r\n\r\n"), expected);
        assert_eq!(names("n01440764 tench\nn01443537 goldfish"), expected);
        assert_eq!(names(r#"["tench", "goldfish"]"#), expected);
        assert_eq!(names(r#"{"1": "goldfish", "0": "tench"}"#), expected);
        assert_eq!(names(r#"{"id2label": {"0": "tench", "1": "goldfish"}, "hidden_size": 768}"#), expected);
        assert_eq!(names(r#"{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}"#), expected);
        assert_eq!(names(r#"[["tench", "Tinca tinca"], "goldfish"]"#), expected);
    }

    #[test]
    fn commas_are_kept_and_gaps_become_numbers() {
        let map = names(r#"{"0": "tench, Tinca tinca", "2": "goldfish"}"#);
        assert_eq!(map, Ok(["tench, Tinca tinca", "1", "goldfish"].map(String::from).to_vec()));
    }

    #[test]
    fn invalid_files_are_rejected() {
        assert_eq!(names("tench\n\ngoldfish"), Err("line 2 is empty".to_string()));
        assert_eq!(names(""), Err("there are no labels".to_string()));
        assert_eq!(names("{}"), Err("there are no labels".to_string()));
        assert_eq!(names(r#"["tench", 7]"#), Err("7 is not a label".to_string()));
        assert_eq!(names(r#"{"tench": 0}"#), Err("'tench' is not the number of a class".to_string()));
        assert_eq!(
            names(r#"{"99999999999": "x"}"#),
            Err("'99999999999' is not the number of a class".to_string())
        );
        let broken = names(r#"{"0": "tench""#);
        assert_eq!(broken, Err("not JSON: EOF while parsing an object at line 1 column 13".to_string()));
    }

    #[test]
    fn unnamed_class_is_its_number() {
        let labels = Labels::from(vec!["tench".to_string()]);
        assert_eq!((labels.get(0).as_ref(), labels.get(7).as_ref()), ("tench", "7"));
    }

    #[test]
    fn paths_are_relative_to_the_models_folder() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let model = folder.path().join("model.onnx");
        std::fs::write(folder.path().join("labels.txt"), "tench")?;
        for source in [Source::Options, Source::SeequelJson] {
            let found = read(&json!("labels.txt"), &source, &model)?;
            assert_eq!((found.labels.len(), found.place.as_str()), (1, "labels.txt"));
        }
        let missing = read(&json!("missing.txt"), &Source::Options, &model);
        assert_eq!(missing, Err("there is no file 'missing.txt'".to_string()));
        Ok(())
    }

    #[test]
    fn labels_can_be_given_inline() -> Result<(), String> {
        let found = read(&json!(r#"["cat", "dog"]"#), &Source::Options, Path::new("/model.onnx"))?;
        assert_eq!(found.labels, Labels::from(vec!["cat".to_string(), "dog".to_string()]));
        let number = read(&json!(3), &Source::SeequelJson, Path::new("/model.onnx"));
        assert_eq!(number, Err("3 is neither a file nor a list of labels".to_string()));
        Ok(())
    }
}
