//! Who is suspected and convicted, in a file that the supervisor and its processes share.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{Entry, Journal};

const NAME: &str = "record.json";
/// Suspects and convicts that are remembered, the last ones.
const MOST: usize = 1024;

/// A row, by what is compared first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Row {
    /// What is computed of it.
    pub(super) place: u64,
    pub(super) name: String,
    /// Of its images.
    pub(super) bytes: u64,
}

/// A row that is not touched any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Convict {
    pub(super) row: Row,
    /// Of its images.
    pub(super) hash: u64,
    pub(super) reason: String,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) suspects: Vec<Row>,
    pub(super) convicts: Vec<Convict>,
    /// The places where a row has survived.
    pub(super) survived: Vec<u64>,
}

/// What is known of the end of a process.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Crash {
    /// It had nothing in hand.
    Unexplained,
    /// Names of what it had in hand, which is tried alone.
    Suspects(Vec<String>),
    /// The name of what it died of; and whether other rows of the same place have survived, so that it is not the model that
    /// ends any process.
    Convict(String, bool),
}

impl Row {
    /// What messages call it.
    fn shown(&self) -> String {
        match self.name.as_str() {
            "" => format!("an image without a name, of {} bytes", self.bytes),
            name => name.to_owned(),
        }
    }
}

impl Record {
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        match fs::read(folder.join(NAME)) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes it, as a whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(format!("{NAME}.new"));
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, folder.join(NAME))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.convicts.is_empty()
    }

    /// Notes that a row of a place has survived.
    pub(super) fn survive(&mut self, place: u64) {
        self.survived.push(place);
        self.survived.drain(..self.survived.len().saturating_sub(MOST));
    }

    fn add(&mut self, entries: Vec<Entry>, signal: &str) -> Crash {
        if let Some(Entry { row, alone: Some(hash) }) = entries.iter().find(|entry| entry.alone.is_some()) {
            self.suspects.retain(|suspect| suspect != row);
            let reason = format!(
                "it ends the process that works on it ({signal}): two processes of the executor died, the second with nothing \
                 else in hand"
            );
            self.convicts.push(Convict { row: row.clone(), hash: *hash, reason });
            self.convicts.drain(..self.convicts.len().saturating_sub(MOST));
            return Crash::Convict(row.shown(), self.survived.contains(&row.place));
        }
        let names: Vec<_> = entries.iter().map(|entry| entry.row.shown()).collect();
        for Entry { row, .. } in entries {
            self.suspects.retain(|suspect| *suspect != row);
            self.suspects.push(row);
        }
        self.suspects.drain(..self.suspects.len().saturating_sub(MOST));
        if names.is_empty() { Crash::Unexplained } else { Crash::Suspects(names) }
    }
}

/// Notes what a process had in hand that died of `signal`.
///
/// # Errors
/// Files that can't be read or written.
pub(in crate::cluster) fn after_crash(folder: &Path, signal: &str) -> io::Result<Crash> {
    let mut record = Record::read(folder)?;
    let crash = record.add(Journal::read(folder)?, signal);
    record.write(folder)?;
    Ok(crash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, alone: Option<u64>) -> Entry {
        Entry { row: Row { place: 1, name: name.to_owned(), bytes: 10 }, alone }
    }

    #[test]
    fn whoever_was_alone_is_convicted_and_others_are_suspected() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::default();
        assert_eq!(record.add(vec![], "SIGKILL"), Crash::Unexplained);
        let both = vec![entry("a", None), entry("b", None)];
        assert_eq!(record.add(both, "SIGSEGV"), Crash::Suspects(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(record.add(vec![entry("b", Some(3))], "SIGSEGV"), Crash::Convict("b".to_owned(), false));
        assert_eq!(record.suspects, [entry("a", None).row]);
        record.survive(1);
        assert_eq!(record.add(vec![entry("c", Some(4))], "SIGSEGV"), Crash::Convict("c".to_owned(), true));
        assert!(record.convicts[0].hash == 3 && record.convicts[0].reason.contains("SIGSEGV"));
        record.write(folder.path()).unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), record);
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let mut record = Record::default();
        for number in 0..MOST + 10 {
            record.add(vec![entry(&number.to_string(), None)], "SIGKILL");
        }
        assert_eq!((record.suspects.len(), record.suspects[0].name.as_str()), (MOST, "10"));
        record.add(vec![entry("10", None)], "SIGKILL");
        assert_eq!((record.suspects.len(), record.suspects[MOST - 1].name.as_str()), (MOST, "10"));
    }
}
