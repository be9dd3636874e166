//! The scripts, and what a machine lacks to run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

// Shared with the other integration tests, which need DataFusion for the rest of their support.
#[path = "../support/folders.rs"]
mod folders;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "the other integration tests use it all")]
pub(crate) mod process;
#[path = "../support/trials.rs"]
mod trials;

pub(crate) use folders::{folder_of, home_with_model, photos};
pub(crate) use home::home;
pub(crate) use trials::Test;

/// Chromium's names.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The trials of `tests`, ignored if the machine lacks something.
pub(crate) fn trials(tests: &[Test]) -> Vec<Trial> {
    trials::trials(tests, missing())
}

fn missing() -> Option<&'static str> {
    if browser().is_none() {
        Some("there is no Chromium")
    } else if program("node").is_none() {
        Some("there is no Node")
    } else if !packages().join("node_modules/playwright-core").is_dir() {
        Some("set-up has not installed playwright-core")
    } else {
        None
    }
}

/// Runs `NAME.mjs` on the dashboard at `url` to its end; `home` is for its files.
#[track_caller]
pub(crate) fn run(name: &str, url: &str, home: &Path, variables: &[(&str, &str)]) {
    let mut command = Command::new("node");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(name).with_extension("mjs"))
        .env("DASHBOARD", url)
        .env("CHROMIUM", browser().unwrap())
        .env("PACKAGES", packages())
        .env("FOLDER", home)
        .envs(variables.iter().copied());
    let (child, _watchdog) = process::start(&mut command, Stdio::null());
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name}: {}\n{}{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
}

/// Where set-up installs what `package.json` asks for.
fn packages() -> PathBuf {
    home().join("tests/browser")
}

fn browser() -> Option<PathBuf> {
    BROWSERS.iter().find_map(|name| program(name))
}

fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
