//! The tutorial: every file in `queries/` runs, and its output matches the snapshot.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::process::{Outcome, seequel};
use crate::support::{home, home_with_model};

/// The file of the tutorial whose output is other figures each time.
pub(crate) const TUNING: &str = "10_tuning";

/// The output of the tutorial in `file`, run in a temporary folder, with the models of `models`.
fn run(file: &Path, models: &Path) -> String {
    run_with(file, models, &[])
}

/// As [`run`], with more arguments.
pub(crate) fn run_with(file: &Path, models: &Path, arguments: &[&str]) -> String {
    let script = fs::read_to_string(file).unwrap().replace(".seequel/", &format!("{}/", home().display()));
    let folder = tempfile::tempdir().unwrap();
    let mut command = seequel(folder.path(), &["--quiet", "--no-rc", "--format", "csv"]);
    command.args(arguments);
    let outcome = Outcome::with_input(command.env("SEEQUEL_HOME", models), &script);
    outcome.stdout().replace(&home().display().to_string(), ".seequel")
}

pub(crate) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/queries"))
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
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 10, "{files:?}");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if name != TUNING {
            settings.bind(|| insta::assert_snapshot!(name, run(&file, &home())));
        }
    }
}

/// In a home of its own, since the other tests run meanwhile.
#[test]
fn the_tuning_session_tunes_and_leaves_nothing_behind() {
    let models = home_with_model();
    let shown = run(&folder().join(TUNING).with_extension("sql"), models.path());
    let (untuned, rest) = shown.split_once("\nmodel,device,precision,").unwrap();
    assert!(untuned.contains("InferExec: ") && !untuned.contains(", tuned}"), "{untuned}");
    let (trials, rest) = rest.split_once("\nmodel,device,precision,").unwrap();
    assert_eq!(trials.lines().filter(|line| line.ends_with(",chosen")).count(), 1, "{trials}");
    assert!(trials.lines().count() > 6, "{trials}");
    let (tuning, rest) = rest.split_once("\nconcurrency,num_cpus,best\n").unwrap();
    assert!(tuning.lines().nth(1).unwrap().starts_with("efficientnet_lite0,cpu,f32,"), "{tuning}");
    let (tuned, rest) = rest.split_once("\npredictions\n20\n").unwrap();
    assert!(tuned.contains(", tuned}"), "{tuned}");
    let (advice, reset) = rest.split_once("\nplan_type,plan\n").unwrap();
    assert!(advice.starts_with("cause,finding,evidence,gain,change\n"), "{advice}");
    assert!(reset.contains("InferExec: ") && !reset.contains(", tuned}"), "{reset}");
    assert!(!models.path().join("tuning.json").exists());
}

/// The tar file that the tutorial on shards needs, of copies: tar fails on files that get another link meanwhile.
pub(crate) fn make_shard() {
    let copies = tempfile::tempdir().unwrap();
    for photo in fs::read_dir(home().join("photos")).unwrap().map(Result::unwrap) {
        if photo.file_type().unwrap().is_file() {
            fs::copy(photo.path(), copies.path().join(photo.file_name())).unwrap();
        }
    }
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(copies.path()).args(["--sort=name", "-cf"]).arg(home().join("photos-000.tar")).arg(".");
    assert!(tar.status().unwrap().success());
}
