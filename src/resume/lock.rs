//! A lock that only one process of a machine can have for a folder, until it ends in any way.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// The lock of a folder.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Unlocked when it is closed; `None` where there are no locks.
    file: Option<File>,
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum Unlocked {
    /// Another process has it, of this number if it is known.
    Held(String),
    /// The file can't be opened.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock in the log's folder of a local target, which must exist.
    ///
    /// # Errors
    /// Another process has it, or the folder can't be written.
    pub(crate) fn of_folder(log: &Path) -> Result<Self, Unlocked> {
        let lock = Self::take(&log.join("lock"))?;
        if let Some(mut file) = lock.file.as_ref() {
            // For messages only.
            let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        }
        Ok(lock)
    }

    /// Takes the lock of a folder in an object store whose log was begun by `run`, in this machine's folder for temporary
    /// files. Where that can't be written there is none: the log itself has one writer only.
    ///
    /// # Errors
    /// Another process has it.
    pub(crate) fn of_log(run: &str) -> Result<Self, Unlocked> {
        let file = std::env::temp_dir().join(format!("seequel-resume-{run}.lock"));
        match Self::take(&file) {
            Err(Unlocked::Io(_)) => Ok(Self { file: None }),
            taken => taken,
        }
    }

    fn take(path: &Path) -> Result<Self, Unlocked> {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(Unlocked::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Without it the message is shorter.
                let _ = file.take(20).read_to_string(&mut holder);
                Err(Unlocked::Held(holder.trim().to_owned()))
            }
            // Not all file systems have locks.
            Err(TryLockError::Error(_)) => Ok(Self { file: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_lock_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::of_folder(folder.path()).unwrap();
        let second = Lock::of_folder(folder.path()).unwrap_err();
        assert!(matches!(second, Unlocked::Held(holder) if holder == std::process::id().to_string()));
        drop(first);
        Lock::of_folder(folder.path()).unwrap();
    }
}
