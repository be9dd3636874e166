//! What pages look like, compared with pictures of how they should.

use std::os::unix::fs::symlink;
use std::path::Path;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::client::endless_shell;
use crate::support::{Test, home_with_model, photos, run, trials};

/// Queries that have ended, whose numbers never change.
const HISTORY: &str = include_str!("history.jsonl");

const TESTS: [Test; 3] = [
    ("the_list_looks_as_before", || compare("queries", "#/")),
    ("a_query_looks_as_before", || compare("query", "#/query/fixed-1")),
    ("a_contact_sheet_looks_as_before", || compare("sheet", "#/query/fixed-1/sheet")),
];

pub(crate) fn suite() -> Vec<Trial> {
    trials(&TESTS)
}

/// A home whose history has queries over `photos`, a folder in it.
pub(crate) fn home_with_history() -> TempDir {
    let home = home_with_model();
    std::fs::create_dir(home.path().join("dashboard")).unwrap();
    std::fs::write(home.path().join("dashboard/queries.jsonl"), HISTORY).unwrap();
    symlink(photos(), home.path().join("photos")).unwrap();
    home
}

fn compare(page: &str, address: &str) {
    let home = home_with_history();
    let shell = endless_shell(home.path(), "127.0.0.1:0", &["--dashboard-actions"]);
    shell.client.query("running");
    // What differs is to be looked at after the test.
    let failed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("looks");
    std::fs::create_dir_all(&failed).unwrap();
    let failed = failed.to_str().unwrap();
    run("looks", &shell.url, home.path(), &[("PAGE", page), ("ADDRESS", address), ("FAILED_LOOKS", failed)]);
}
