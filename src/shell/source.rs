//! SQL texts, with their names in errors.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::images::listing::Location;
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
    ///
    /// # Errors
    /// A file that can't be read, or something that is not SQL, with the query that shows it.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let error = |source| Error::Io { path: path.to_path_buf(), source };
        if let Some(advice) = advice(path) {
            return Err(error(io::Error::other(advice)));
        }
        let mut text = fs::read_to_string(path).map_err(error)?;
        if text.starts_with("#!") {
            text.replace_range(..2, "--");
        }
        Ok(Self { name: path.display().to_string(), text })
    }

    /// An argument of `--command`.
    ///
    /// # Errors
    /// The name of a file, since `--command` takes all arguments behind it.
    pub(crate) fn command(sql: &str) -> Result<Self> {
        if Path::new(sql).is_file() {
            let reason =
                io::Error::other("a file, where -c takes SQL; write scripts before -c, or behind -f");
            return Err(Error::Io { path: sql.into(), source: reason });
        }
        Ok(Self { name: "--command".to_string(), text: sql.to_string() })
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

/// Extensions of the tables that DataFusion reads by name.
const DATA: [&str; 5] = ["parquet", "csv", "json", "arrow", "avro"];

/// What to do with a path that is not a file of SQL.
fn advice(path: &Path) -> Option<String> {
    let written = path.display();
    let run = |what: &str, sql: String| Some(format!("{what}, not a file of SQL; try seequel -c \"{sql}\""));
    if path.is_dir() {
        return run("a folder", format!("SELECT path, width, height FROM read_images('{written}')"));
    }
    if !path.exists() {
        let is_sql = written.to_string().contains(char::is_whitespace);
        return is_sql.then(|| "there is no file of this name; -c runs SQL".to_owned());
    }
    match path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase().as_str() {
        "onnx" => run("a model", format!("CREATE MODEL m FROM '{written}'; DESCRIBE MODEL m")),
        image if Location::is_image_extension(image) => {
            run("an image", format!("SELECT path, classify(image) FROM '{written}'"))
        }
        data if DATA.contains(&data) => run("data", format!("SELECT * FROM '{written}' LIMIT 10")),
        _ => None,
    }
}
