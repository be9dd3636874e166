//! SQL texts, with their names in errors.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A text with SQL statements.
#[derive(Debug)]
pub(crate) struct Source {
    /// A path, or the name of another origin.
    pub(crate) name: String,
    /// Statements separated by `;`.
    pub(crate) text: String,
}

impl Source {
    /// A file of SQL; a first line that starts with `#!` is a comment, so that scripts can be made executable.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let mut text =
            fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        if text.starts_with("#!") {
            text.replace_range(..2, "--");
        }
        Ok(Self { name: path.display().to_string(), text })
    }

    /// An argument of `--command`.
    pub(crate) fn command(sql: &str) -> Self {
        Self { name: "--command".to_string(), text: sql.to_string() }
    }

    /// All of standard input.
    pub(crate) fn stdin() -> Result<Self> {
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .map_err(|source| Error::Io { path: PathBuf::from("standard input"), source })?;
        Ok(Self { name: "standard input".to_string(), text })
    }

    /// An entry at the prompt.
    pub(crate) fn prompt(sql: &str) -> Self {
        Self { name: "prompt".to_string(), text: sql.to_string() }
    }
}
