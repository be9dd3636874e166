//! Seequel as a library: the example, expressions, engines on an application's own session, running queries, models.

mod accounts;
mod engine;
mod functions;
mod models;
mod query;

use std::path::Path;
use std::process::Command;

use crate::support::home;
use crate::support::process::example_binary;

/// The path of a model of tests/data.
fn small_model(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models").join(name).display().to_string()
}

#[test]
fn the_example_runs() {
    let output = Command::new(example_binary("embed")).arg(home()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().any(|line| line.contains("coffee.png") && line.contains("espresso")), "{text}");
    assert!(text.contains("| photos |"), "{text}");
}
