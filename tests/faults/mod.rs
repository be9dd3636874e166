//! Faults from outside: files and stores that change or fail, disks, limits of the process, and untrusted input.

mod bounds;
mod files;
mod paths;
mod process;
mod secrets;
mod stores;

use std::path::Path;
use std::process::Command;

use crate::support::process::{Outcome, run_in};

/// Runs statements in `folder`; results are CSV.
fn csv(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

/// `CREATE MODEL` of one of the tests' models, under its own name.
fn create(name: &str, options: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models");
    format!("CREATE MODEL {name} FROM '{file}/{name}.onnx' OPTIONS ({options})")
}

/// What makes the system's shell run in mounts of its own, if this account may have such: the program and its arguments.
fn own_mounts() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] =
        [&["unshare", "--mount"], &["unshare", "--user", "--map-root-user", "--mount"]];
    let works = |way: &&&[&str]| {
        let mounted =
            Command::new(way[0]).args(&way[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        mounted.is_ok_and(|output| output.status.success())
    };
    let found = WAYS.iter().find(works).copied();
    if found.is_none() {
        eprintln!("skipped: this account may not mount anything, not even for itself");
    }
    found
}

/// Runs the lines of a script of the system's shell in `folder`, with `$0` for `seequel` and mounts of its own.
fn script_with_mounts(folder: &Path, home: &Path, script: &str) -> Option<Outcome> {
    let way = own_mounts()?;
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).args(["sh", "-c", script, env!("CARGO_BIN_EXE_seequel")]);
    command.current_dir(folder).env("SEEQUEL_HOME", home).env("HOME", folder);
    command.env_remove("ORT_DYLIB_PATH").env_remove("SEEQUEL_RUNTIME").env_remove("SEEQUEL_LOG");
    Some(Outcome::of(&mut command))
}
