//! The statement that a log belongs to, and what has changed in another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The setting that decides what becomes of rows that fail.
const ON_ERROR: &str = "inference.on_error";

/// What must be the same for a statement to continue another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatementRecord {
    /// Of Seequel; another one may continue.
    pub(crate) version: String,
    /// The query in the user's words, if they are known; other words may mean the same.
    pub(crate) query: Option<String>,
    /// The query's plan, which has the names of tables and models.
    pub(crate) plan: String,
    /// The files of the images table, as URL and pattern.
    pub(crate) images: String,
    pub(crate) key: Vec<String>,
    /// Columns of PARTITIONED BY.
    pub(crate) partitions: Vec<String>,
    /// Settings of the session that change results.
    pub(crate) settings: BTreeMap<String, String>,
    /// Models and ensembles, by name.
    pub(crate) models: BTreeMap<String, ModelRecord>,
}

/// A model's part in results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    /// SHA-256 of each of its files, by name.
    pub(crate) files: BTreeMap<String, String>,
    /// Settings that change results.
    pub(crate) settings: BTreeMap<String, String>,
}

impl StatementRecord {
    /// The query in words: the user's, or the plan.
    pub(crate) fn text(&self) -> &str {
        self.query.as_deref().unwrap_or(&self.plan)
    }

    /// What is different in `now`, as the rest of a sentence that begins with the folder; `None` if it continues this
    /// statement.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        let changed =
            |what: &str, old: &str, new: &str| Some(format!("{what} has changed from {old} to {new}"));
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => format!("'{}'", names.join(", ")),
        };
        if self.images != now.images {
            return changed("the location of the images", &self.images, &now.images);
        }
        if self.key != now.key {
            return changed("the option resume", &list(&self.key), &list(&now.key));
        }
        if self.partitions != now.partitions {
            return changed("PARTITIONED BY", &list(&self.partitions), &list(&now.partitions));
        }
        if let Some((name, old, new)) = self.changed_setting(now) {
            let set_back = format!("{new} (SET {name} = '{old}' continues)");
            return changed(&format!("the setting {name}"), old, &set_back);
        }
        if self.plan != now.plan {
            let (old, new) = if self.query == now.query || self.query.is_none() || now.query.is_none() {
                different_lines(&self.plan, &now.plan)
            } else {
                (self.text(), now.text())
            };
            return changed("the query", &format!("`{old}`"), &format!("`{new}`"));
        }
        let models = self.models.iter().zip(&now.models);
        models.into_iter().find_map(|((name, old), (_, new))| {
            let what = old.difference(new)?;
            Some(format!("the model '{name}' has changed: {what}"))
        })
    }
}

impl StatementRecord {
    /// The first setting that has another value in `now`, with both values.
    fn changed_setting<'a>(&'a self, now: &'a Self) -> Option<(&'a str, &'a str, &'a str)> {
        let both = self.settings.iter().filter_map(|(name, old)| Some((name, old, now.settings.get(name)?)));
        // No row that failed was committed under 'fail', so any other setting gives the same rows.
        let is_compatible = |name: &str, old: &str| name == ON_ERROR && old == "fail";
        let mut changed = both.filter(|(name, old, new)| old != new && !is_compatible(name, old));
        changed.next().map(|(name, old, new)| (name.as_str(), old.as_str(), new.as_str()))
    }
}

impl ModelRecord {
    fn difference(&self, now: &Self) -> Option<String> {
        if let Some((file, old, new)) = first_difference(&self.files, &now.files) {
            return Some(format!("the SHA-256 of {file} was {}, and is {}", short(&old), short(&new)));
        }
        let (name, old, new) = first_difference(&self.settings, &now.settings)?;
        Some(format!("its {name} was {old}, and is {new}"))
    }
}

/// The first key whose values differ, with both values.
fn first_difference(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Option<(String, String, String)> {
    let value = |map: &BTreeMap<String, String>, key: &String| {
        map.get(key).map_or_else(|| "missing".to_owned(), Clone::clone)
    };
    let key = old.keys().chain(new.keys()).find(|key| old.get(*key) != new.get(*key))?;
    Some((key.clone(), value(old, key), value(new, key)))
}

/// The first lines of two plans that differ.
fn different_lines<'a>(old: &'a str, new: &'a str) -> (&'a str, &'a str) {
    let (mut old, mut new) = (old.lines(), new.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return ("", ""),
            (old, new) if old != new => {
                return (old.unwrap_or_default().trim(), new.unwrap_or_default().trim());
            }
            _ => {}
        }
    }
}

/// Enough of a digest to tell it from another.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> StatementRecord {
        let model = ModelRecord {
            files: BTreeMap::from([("a.onnx".to_owned(), "11".repeat(32))]),
            settings: BTreeMap::from([("crop_fraction".to_owned(), "0.875".to_owned())]),
        };
        StatementRecord {
            version: "0.1.0".to_owned(),
            query: Some("SELECT path FROM images".to_owned()),
            plan: "Projection: images.path\n  TableScan: images".to_owned(),
            images: "file:///photos/".to_owned(),
            key: vec!["path".to_owned()],
            partitions: vec![],
            settings: BTreeMap::from([(ON_ERROR.to_owned(), "null".to_owned())]),
            models: BTreeMap::from([("a".to_owned(), model)]),
        }
    }

    fn on_error(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(ON_ERROR.to_owned(), value.to_owned())])
    }

    #[test]
    fn what_failed_may_be_left_out_later() {
        let failing = StatementRecord { settings: on_error("fail"), ..record() };
        assert_eq!(failing.difference(&record()), None);
        assert!(record().difference(&failing).is_some());
    }

    #[test]
    fn each_change_is_named() {
        let changed = |change: fn(&mut StatementRecord)| {
            let mut now = record();
            change(&mut now);
            record().difference(&now)
        };
        assert_eq!(changed(|now| now.version = "0.2.0".to_owned()), None);
        assert_eq!(changed(|now| now.query = Some("SELECT path\nFROM images".to_owned())), None);
        let found = [
            changed(|now| now.images = "file:///other/".to_owned()),
            changed(|now| now.partitions.push("label".to_owned())),
            changed(|now| now.settings = on_error("skip")),
            changed(|now| now.plan = "Projection: images.name\n  TableScan: images".to_owned()),
            changed(|now| {
                now.plan.clear();
                now.query = Some("SELECT 1".to_owned());
            }),
            changed(|now| {
                for model in now.models.values_mut() {
                    model.files.insert("a.onnx".to_owned(), "22".repeat(32));
                }
            }),
            changed(|now| {
                for model in now.models.values_mut() {
                    model.settings.insert("crop_fraction".to_owned(), "1".to_owned());
                }
            }),
        ];
        insta::assert_snapshot!(found.map(Option::unwrap_or_default).join("\n"), @r"
        the location of the images has changed from file:///photos/ to file:///other/
        PARTITIONED BY has changed from none to 'label'
        the setting inference.on_error has changed from null to skip (SET inference.on_error = 'null' continues)
        the query has changed from `Projection: images.path` to `Projection: images.name`
        the query has changed from `SELECT path FROM images` to `SELECT 1`
        the model 'a' has changed: the SHA-256 of a.onnx was 111111111111, and is 222222222222
        the model 'a' has changed: its crop_fraction was 0.875, and is 1
        ");
    }
}
