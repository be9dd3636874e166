//! COPY and INSERT, with the real binary: what they replace, add and refuse, and what remains when they fail.

mod columns;
mod errors;
mod failures;
mod images;
mod insert;
mod library;
mod modes;
mod remote;

use std::fs;
use std::path::Path;

use crate::support::process::{Outcome, run_in};

/// Runs statements in `folder`; results are CSV.
fn run(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

/// The files and folders below `folder`, hidden ones too, as `name` or `folder/name`, sorted.
fn entries(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(entries(&path).into_iter().map(|below| format!("{name}/{below}")));
        }
        found.push(name);
    }
    found.sort();
    found
}

/// The number of files with an extension below `folder`.
fn count(folder: &Path, extension: &str) -> usize {
    entries(folder).iter().filter(|name| name.ends_with(extension)).count()
}
