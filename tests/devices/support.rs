//! Processes with a runtime, and what a machine lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

// Shared with the other integration tests, which need DataFusion for the rest of their support.
#[path = "../support/home.rs"]
mod home;
#[expect(dead_code, reason = "the other integration tests use it all")]
#[path = "../support/process.rs"]
mod process;
#[path = "../support/trials.rs"]
mod trials;

pub(crate) use home::home;
pub(crate) use process::{Outcome, signal, start};
pub(crate) use trials::{Test, trials};

/// The set-up's smallest model, as a bare file with its labels.
pub(crate) const LITE0: &str = "'models/efficientnet_lite0/model.onnx'";
pub(crate) const LABELS: &str = "labels 'models/efficientnet_lite0/labels.txt'";

/// Says so if set-up has not installed a runtime.
pub(crate) fn missing_runtime(name: &str) -> Option<String> {
    let is_installed = home().join("runtimes").join(name).join("libonnxruntime.so").exists();
    (!is_installed).then(|| format!("there is no runtime {name}"))
}

/// `seequel --runtime RUNTIME -c SQL` in the set-up's home, with the set-up's Vulkan driver if it has one.
pub(crate) fn command(runtime: &str, sql: &str) -> Command {
    let home = home();
    let mut command = process::seequel(&home, &["-q", "--format", "csv", "--runtime", runtime, "-c", sql]);
    let vulkan = home.join("tests/vulkan");
    if vulkan.is_dir() {
        command.env("VK_DRIVER_FILES", vulkan.join("lvp.json")).env("LD_LIBRARY_PATH", vulkan.join("lib"));
    }
    command
}

/// The standard output of SQL that succeeds; drivers may warn.
#[track_caller]
pub(crate) fn run(runtime: &str, sql: &str) -> String {
    let outcome = Outcome::of(&mut command(runtime, sql));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

/// The error of SQL that fails.
#[track_caller]
pub(crate) fn error(runtime: &str, sql: &str) -> String {
    Outcome::of(&mut command(runtime, sql)).error()
}

/// A model among the tests' data.
pub(crate) fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models").join(name).with_extension("onnx")
}

/// A query that gives the largest difference between the confidences of the best class on the CPU and on a device, over
/// some photos, and how many classes differ.
#[track_caller]
pub(crate) fn difference(runtime: &str, options: &str) -> (f64, usize) {
    let sql = format!(
        "CREATE MODEL a FROM {LITE0} OPTIONS ({LABELS}, device 'cpu'); \
         CREATE MODEL b FROM {LITE0} OPTIONS ({LABELS}, {options}); \
         SELECT max(abs(a['confidence'] - b['confidence'])) AS difference, \
                count(*) FILTER (WHERE a['class'] <> b['class']) AS other FROM ( \
           SELECT classify(image, 'a') AS a, classify(image, 'b') AS b FROM 'photos/*.*')"
    );
    let shown = run(runtime, &sql);
    let (difference, other) = shown.lines().last().unwrap().split_once(',').unwrap();
    (difference.parse().unwrap(), other.parse().unwrap())
}
