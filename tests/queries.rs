//! The tutorial: every file in `queries/` runs, and its output matches the snapshot.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::home;
use crate::support::process::{Outcome, seequel};

/// The output of the tutorial in `file`, run in a temporary folder.
fn run(file: &Path) -> String {
    let script = fs::read_to_string(file).unwrap().replace(".seequel/", &format!("{}/", home().display()));
    let folder = tempfile::tempdir().unwrap();
    let mut command = seequel(folder.path(), &["--quiet", "--no-rc", "--format", "csv"]);
    Outcome::with_input(&mut command, &script).stdout().replace(&home().display().to_string(), ".seequel")
}

/// Machine-dependent output: the number of cores, and the last digits of results.
const FILTERS: [(&str, &str); 3] =
    [(r"concurrency=\d+", "concurrency=[cores]"), (r"1→\d+", "1→[cores]"), (r"\b\d+\.\d+\b", "[number]")];

#[test]
fn output_of_every_file_matches_its_snapshot() {
    make_shard();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/queries");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, replacement);
    }
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/queries"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 10, "{files:?}");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, run(&file)));
    }
}

/// The tar file that the tutorial on shards needs.
fn make_shard() {
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(home().join("photos"))
        .args(["--sort=name", "-cf"])
        .arg(home().join("photos-000.tar"))
        .arg(".");
    assert!(tar.status().unwrap().success());
}
