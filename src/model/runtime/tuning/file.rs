//! The file of tunings, which several processes may change.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Tuning;
use super::json::{read_tuning, write_tuning};
use crate::model::settings::{MAX_SIDE_BYTES, read_bounded};
use crate::{Error, Result};

/// File name in the home.
const FILE: &str = "tuning.json";

/// File that a process locks while it changes the other.
const LOCK: &str = "tuning.lock";

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
    pub(crate) fn exist(&self) -> bool {
        self.home.join(FILE).exists()
    }

    /// Checks that outcomes can be kept.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.lock().map(|_| ())
    }

    /// Adds `tunings`, in place of those with the same keys.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn put(&self, tunings: &[Tuning]) -> Result<()> {
        self.change(|all| {
            all.retain(|other| tunings.iter().all(|tuning| other.key != tuning.key));
            all.extend_from_slice(tunings);
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

    /// The file that is locked for a change.
    fn lock(&self) -> Result<File> {
        let lock = self.home.join(LOCK);
        let created = fs::create_dir_all(&self.home).and_then(|()| File::create(&lock));
        created.map_err(|reason| Error::Runtime(format!("'{}' can't be written: {reason}", lock.display())))
    }

    /// Changes the file, which other processes read and change too.
    fn change(&self, change: impl FnOnce(&mut Vec<Tuning>)) -> Result<()> {
        let file = self.home.join(FILE);
        let error = |reason: std::io::Error| {
            Error::Runtime(format!("'{}' can't be written: {reason}", file.display()))
        };
        let lock = self.lock()?;
        lock.lock().map_err(error)?;
        let mut all = self.all();
        change(&mut all);
        if all.is_empty() {
            return match fs::remove_file(&file) {
                Err(reason) if reason.kind() != ErrorKind::NotFound => Err(error(reason)),
                _ => Ok(()),
            };
        }
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

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::model::runtime::tuning::{Choice, Trial, TuningKey, Twin, Variant};

    fn tuning(model: &str, sha256: &str) -> Tuning {
        let key = TuningKey {
            sha256: sha256.to_owned(),
            runtime: "1.32.0".to_owned(),
            device: "cpu".to_owned(),
            precision: "f32".to_owned(),
            machine: "A, 2 cores".to_owned(),
        };
        let chosen = Choice { batch_size: 4, concurrency: 1, num_cpus: 2, morsel_rows: Some(16) };
        let default = Choice { batch_size: 1, concurrency: 2, num_cpus: 1, morsel_rows: None };
        let variant = Variant { device: "cpu".to_owned(), precision: "int8".to_owned() };
        let trial = Trial {
            variant: variant.clone(),
            choice: Some(default),
            agreement: None,
            runs: 3,
            rate: Some([10.0, 9.5, 10.5]),
            latency: Some([0.1, 0.2]),
            memory_bytes: None,
            device_use: Some(0.5),
            outcome: "default".to_owned(),
        };
        let refused = Trial { choice: None, rate: None, latency: None, runs: 0, ..trial.clone() };
        let twin = Twin { name: "t".to_owned(), file: "/t/model.onnx".into(), sha256: "cc".to_owned() };
        Tuning {
            model: model.to_owned(),
            key,
            metric: "throughput".to_owned(),
            chosen,
            variant,
            twin: Some(twin),
            agreement: Some(0.99),
            default,
            gain: [1.1, 1.0, 1.2],
            at: 7,
            trials: vec![trial, refused],
        }
    }

    #[test]
    fn a_tuning_holds_for_its_key_until_it_is_replaced_or_removed() -> Result<()> {
        let home = tempfile::tempdir().unwrap();
        let tunings = Tunings::in_home(home.path());
        let (a, b) = (tuning("a", "aa"), tuning("b", "bb"));
        tunings.put(&[a.clone(), b.clone()])?;
        assert_eq!(tunings.all(), [a.clone(), b.clone()]);
        let again = Tuning { chosen: a.default, ..a.clone() };
        tunings.put(slice::from_ref(&again))?;
        assert_eq!(tunings.all(), [b.clone(), again]);
        assert_eq!(tunings.remove(Some("bb"))?, 1);
        assert_eq!(tunings.remove(None)?, 1);
        assert!(!tunings.exist() && tunings.all().is_empty(), "an empty file is not left behind");
        assert_eq!(tunings.remove(None)?, 0);
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
