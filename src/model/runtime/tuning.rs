//! What TUNE measured, in a file of the home that people can read: `tuning.json`.
//!
//! ```text
//!  TUNE ── put ──► home/tuning.json ── choice, by key ──► Model: what `auto` means
//! ```
//!
//! A measurement holds for the same graph, runtime, device, precision and machine; with any other, `auto` is what it is
//! without TUNE.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::model::settings::{MAX_SIDE_BYTES, read_bounded};
use crate::{Error, Result};

/// File name in the home.
const FILE: &str = "tuning.json";

/// File that a process locks while it changes the other.
const LOCK: &str = "tuning.lock";

/// What a measurement depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuningKey {
    /// Digest of the model's file.
    pub sha256: String,
    /// Version of ONNX Runtime.
    pub runtime: String,
    /// The device, as the option `device` names it.
    pub device: String,
    /// The precision that the device computes in.
    pub precision: String,
    /// The hardware of the device and the number of cores.
    pub machine: String,
}

/// Batch size, sessions and threads a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    /// Rows per batch.
    pub batch_size: usize,
    /// Sessions.
    pub concurrency: usize,
    /// Threads per session.
    pub num_cpus: usize,
}

/// The outcome of TUNE for one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Name of the model at the time.
    pub model: String,
    /// What it holds for.
    pub key: TuningKey,
    /// `throughput` or `latency`.
    pub metric: String,
    /// The fastest.
    pub chosen: Choice,
    /// What `auto` was without TUNE.
    pub default: Choice,
    /// Performance in multiples of the default's, with the ends of an interval that holds it in 95 of 100 cases.
    pub gain: [f64; 3],
    /// Seconds since 1970.
    pub at: u64,
    /// All that was tried, in order.
    pub trials: Vec<Trial>,
}

/// One configuration, and what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The configuration.
    pub choice: Choice,
    /// Number of measurements.
    pub runs: usize,
    /// Rows a second, with the ends of an interval that holds them in 95 of 100 cases; `None` if none succeeded.
    pub rate: Option<[f64; 3]>,
    /// Seconds that half of the batches take at most, and 95 of 100.
    pub latency: Option<[f64; 2]>,
    /// Bytes of the sessions.
    pub memory_bytes: Option<u64>,
    /// `chosen`, `default`, `slower`, or `failed: ` and the reason.
    pub outcome: String,
}

/// The file of one home.
#[derive(Debug, Clone)]
pub(crate) struct Tunings {
    home: PathBuf,
}

impl Tunings {
    pub(crate) fn in_home(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// All outcomes, in the order of the file. A file that is missing or unreadable has none.
    pub(crate) fn all(&self) -> Vec<Tuning> {
        let Ok(bytes) = read_bounded(&self.home.join(FILE), MAX_SIDE_BYTES) else { return vec![] };
        let Ok(Value::Array(tunings)) = serde_json::from_slice(&bytes) else {
            tracing::warn!("'{}' is no list of tunings, and is ignored", self.home.join(FILE).display());
            return vec![];
        };
        tunings.iter().filter_map(read_tuning).collect()
    }

    /// Whether anything was ever tuned, without reading it.
    pub(super) fn exist(&self) -> bool {
        self.home.join(FILE).exists()
    }

    /// The outcome for `key`.
    pub(crate) fn of(&self, key: &TuningKey) -> Option<Tuning> {
        self.all().into_iter().find(|tuning| tuning.key == *key)
    }

    /// Adds `tuning`, in place of one with the same key.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn put(&self, tuning: Tuning) -> Result<()> {
        self.change(|all| {
            all.retain(|other| other.key != tuning.key);
            all.push(tuning);
        })
    }

    /// Removes those of the model with the digest `sha256`, or all; returns how many.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn remove(&self, sha256: Option<&str>) -> Result<usize> {
        let mut removed = 0;
        self.change(|all| {
            let before = all.len();
            all.retain(|tuning| sha256.is_some_and(|sha256| tuning.key.sha256 != sha256));
            removed = before - all.len();
        })?;
        Ok(removed)
    }

    /// Changes the file, which other processes read and change too.
    fn change(&self, change: impl FnOnce(&mut Vec<Tuning>)) -> Result<()> {
        let file = self.home.join(FILE);
        let error = |reason: std::io::Error| {
            Error::Runtime(format!("'{}' can't be written: {reason}", file.display()))
        };
        fs::create_dir_all(&self.home).map_err(error)?;
        let lock = File::create(self.home.join(LOCK)).map_err(error)?;
        lock.lock().map_err(error)?;
        let mut all = self.all();
        change(&mut all);
        let tunings: Vec<_> = all.iter().map(write_tuning).collect();
        let mut text = tempfile::NamedTempFile::new_in(&self.home).map_err(error)?;
        serde_json::to_writer_pretty(&mut text, &tunings).map_err(|reason| error(reason.into()))?;
        text.write_all(b"\n").map_err(error)?;
        // Temporary files are for their owner alone.
        if let Ok(metadata) = lock.metadata() {
            text.as_file().set_permissions(metadata.permissions()).map_err(error)?;
        }
        text.persist(&file).map_err(|failed| error(failed.error))?;
        Ok(())
    }
}

fn write_tuning(tuning: &Tuning) -> Value {
    let Tuning { model, key, metric, chosen, default, gain, at, trials } = tuning;
    json!({
        "model": model,
        "sha256": key.sha256,
        "runtime": key.runtime,
        "device": key.device,
        "precision": key.precision,
        "machine": key.machine,
        "metric": metric,
        "chosen": write_choice(chosen),
        "default": write_choice(default),
        "gain": gain,
        "at": at,
        "trials": trials.iter().map(write_trial).collect::<Vec<_>>(),
    })
}

fn write_choice(choice: &Choice) -> Value {
    let Choice { batch_size, concurrency, num_cpus } = choice;
    json!({"batch_size": batch_size, "concurrency": concurrency, "num_cpus": num_cpus})
}

fn write_trial(trial: &Trial) -> Value {
    let mut value = write_choice(&trial.choice);
    value["runs"] = json!(trial.runs);
    value["rate"] = json!(trial.rate);
    value["latency"] = json!(trial.latency);
    value["memory_bytes"] = json!(trial.memory_bytes);
    value["outcome"] = json!(trial.outcome);
    value
}

fn read_tuning(value: &Value) -> Option<Tuning> {
    let text = |key: &str| Some(value[key].as_str()?.to_owned());
    let key = TuningKey {
        sha256: text("sha256")?,
        runtime: text("runtime")?,
        device: text("device")?,
        precision: text("precision")?,
        machine: text("machine")?,
    };
    Some(Tuning {
        model: text("model")?,
        key,
        metric: text("metric")?,
        chosen: read_choice(&value["chosen"])?,
        default: read_choice(&value["default"])?,
        gain: read_numbers(&value["gain"])?,
        at: value["at"].as_u64()?,
        trials: value["trials"].as_array()?.iter().filter_map(read_trial).collect(),
    })
}

fn read_choice(value: &Value) -> Option<Choice> {
    // None of them is zero, whoever wrote the file.
    let count =
        |key: &str| value[key].as_u64().and_then(|count| usize::try_from(count).ok()).filter(|n| *n > 0);
    Some(Choice {
        batch_size: count("batch_size")?,
        concurrency: count("concurrency")?,
        num_cpus: count("num_cpus")?,
    })
}

fn read_trial(value: &Value) -> Option<Trial> {
    Some(Trial {
        choice: read_choice(value)?,
        runs: usize::try_from(value["runs"].as_u64()?).ok()?,
        rate: read_numbers(&value["rate"]),
        latency: read_numbers(&value["latency"]),
        memory_bytes: value["memory_bytes"].as_u64(),
        outcome: value["outcome"].as_str()?.to_owned(),
    })
}

fn read_numbers<const N: usize>(value: &Value) -> Option<[f64; N]> {
    let numbers: Vec<f64> = value.as_array()?.iter().filter_map(Value::as_f64).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(model: &str, sha256: &str) -> Tuning {
        let key = TuningKey {
            sha256: sha256.to_owned(),
            runtime: "1.32.0".to_owned(),
            device: "cpu".to_owned(),
            precision: "f32".to_owned(),
            machine: "A, 2 cores".to_owned(),
        };
        let chosen = Choice { batch_size: 4, concurrency: 1, num_cpus: 2 };
        let default = Choice { batch_size: 1, concurrency: 2, num_cpus: 1 };
        let trial = Trial {
            choice: default,
            runs: 3,
            rate: Some([10.0, 9.5, 10.5]),
            latency: Some([0.1, 0.2]),
            memory_bytes: None,
            outcome: "default".to_owned(),
        };
        let metric = "throughput".to_owned();
        let trials = vec![trial];
        Tuning { model: model.to_owned(), key, metric, chosen, default, gain: [1.1, 1.0, 1.2], at: 7, trials }
    }

    #[test]
    fn a_tuning_holds_for_its_key_until_it_is_replaced_or_removed() -> Result<()> {
        let home = tempfile::tempdir().unwrap();
        let tunings = Tunings::in_home(home.path());
        let (a, b) = (tuning("a", "aa"), tuning("b", "bb"));
        tunings.put(a.clone())?;
        tunings.put(b.clone())?;
        assert_eq!(tunings.all(), [a.clone(), b.clone()]);
        assert_eq!(tunings.of(&a.key).map(|tuning| tuning.chosen), Some(a.chosen));
        assert_eq!(tunings.of(&TuningKey { device: "cuda:0".to_owned(), ..a.key.clone() }), None);
        let again = Tuning { chosen: a.default, ..a.clone() };
        tunings.put(again.clone())?;
        assert_eq!(tunings.all(), [b.clone(), again]);
        assert_eq!(tunings.remove(Some("bb"))?, 1);
        assert_eq!(tunings.remove(None)?, 1);
        assert_eq!(tunings.all(), []);
        Ok(())
    }

    #[test]
    fn a_file_of_something_else_tunes_nothing() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), r#"[{"model": "a"}, 3]"#).unwrap();
        assert_eq!(Tunings::in_home(home.path()).all(), []);
        fs::write(home.path().join(FILE), "no JSON").unwrap();
        assert_eq!(Tunings::in_home(home.path()).all(), []);
    }
}
