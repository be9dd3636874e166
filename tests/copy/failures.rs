//! What remains of statements that fail, are cancelled or killed, or run at once.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{entries, run};
use crate::support::process::{Outcome, Watchdog, seequel, signal, start};
use crate::support::{folder_of, photos};

const PRECIOUS: &str = "path,label\nyears of work,kept\n";

/// A folder with a file, and a folder with one.
fn precious() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    folder
}

fn fill(folder: &Path) {
    fs::create_dir(folder.join("out")).unwrap();
    fs::write(folder.join("precious.csv"), PRECIOUS).unwrap();
    fs::write(folder.join("out/old.csv"), PRECIOUS).unwrap();
}

/// Both are as they were, and nothing is beside them.
#[track_caller]
fn assert_untouched(folder: &Path) {
    let mut found = entries(folder);
    // Of the photos, and of ONNX Runtime.
    found.retain(|name| !name.ends_with(".jpg") && !name.starts_with(".cache"));
    assert_eq!(found, ["out", "out/old.csv", "precious.csv"]);
    for file in ["precious.csv", "out/old.csv"] {
        assert_eq!(fs::read_to_string(folder.join(file)).unwrap(), PRECIOUS);
    }
}

/// The two targets, to be replaced.
const TARGETS: [&str; 2] = ["'precious.csv'", "'out/' STORED AS CSV OPTIONS (mode 'overwrite')"];

#[test]
fn a_row_that_fails_leaves_everything_as_it_was() {
    let folder = precious();
    for target in TARGETS {
        let sql =
            format!("COPY (SELECT 1000 / (90000 - value) AS a FROM generate_series(1, 100000)) TO {target}");
        let error = run(folder.path(), &sql).error();
        assert!(error.contains("Divide by zero"), "{error}");
        assert_untouched(folder.path());
    }
    for target in [
        "'new/deep/r.csv'",
        "'new/r.parquet'",
        "'new/' STORED AS JSON",
        "'new/' STORED AS CSV PARTITIONED BY (b)",
    ] {
        let sql = format!(
            "COPY (SELECT 1000 / (90000 - value) AS a, value % 3 AS b FROM generate_series(1, 100000)) TO {target}"
        );
        run(folder.path(), &sql).error();
        assert_untouched(folder.path());
    }
}

#[test]
fn a_bad_image_under_on_error_fail_leaves_everything_as_it_was() {
    let folder = precious();
    for number in 0..40 {
        fs::copy(photos().join("lion.jpg"), folder.path().join(format!("{number:02}.jpg"))).unwrap();
    }
    fs::write(folder.path().join("39.jpg"), "not an image").unwrap();
    for target in TARGETS {
        let sql = format!(
            "SET inference.on_error = 'fail';
             COPY (SELECT path, classify(image)['label'] AS label FROM read_images('.')) TO {target}"
        );
        let error = run(folder.path(), &sql).error();
        assert!(error.contains("39.jpg"), "{error}");
        assert_untouched(folder.path());
    }
}

/// The limit on a file's size stands for a disk that is full.
#[test]
fn a_disk_that_is_full_leaves_everything_as_it_was() {
    let folder = precious();
    for target in TARGETS {
        let sql = format!("COPY (SELECT value FROM generate_series(1, 3000000)) TO {target}");
        let inner = seequel(folder.path(), &["-q", "-c", &sql]);
        let mut command = Command::new("bash");
        command.args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""]);
        command
            .arg(inner.get_program())
            .args(inner.get_args())
            .current_dir(folder.path())
            .env("HOME", folder.path());
        let error = Outcome::of(&mut command).error();
        assert!(error.contains("': File too large"), "{error}");
        assert_untouched(folder.path());
    }
}

/// Rows without an end in sight: few, which are computed slowly, and large ones, so that a first file is soon written.
const QUERIES: [&str; 2] = [
    "SELECT path, classify(image, 'efficientnet_lite2') AS p FROM read_images('.')",
    "SELECT repeat('x', 100000) AS x FROM generate_series(1, 100000000000)",
];

/// Starts a COPY, and returns once its hidden folder contains `file`.
fn running(folder: &Path, query: &str, target: &str, file: &str) -> (Child, Watchdog) {
    let mut command = seequel(folder, &["-q", "-b", "8", "-c", &format!("COPY ({query}) TO {target}")]);
    let running = start(&mut command, Stdio::null());
    let hidden = format!(".seequel-copy-{}-0{file}", running.0.id());
    let started = Instant::now();
    while !entries(folder).iter().any(|name| name.ends_with(&hidden)) {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not write");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

#[test]
fn ctrl_c_leaves_everything_as_it_was() {
    let folder = folder_of(1000);
    fill(folder.path());
    for (query, file) in QUERIES.into_iter().zip(["", "/0"]) {
        for target in TARGETS {
            let (child, _watchdog) = running(folder.path(), query, target, file);
            signal(child.id(), "INT");
            assert_eq!(Outcome::from(child.wait_with_output().unwrap()).status, Some(130));
            assert_untouched(folder.path());
        }
    }
}

#[test]
fn a_killed_process_leaves_a_hidden_folder_and_the_old_files() {
    let folder = precious();
    fs::copy(photos().join("lion.jpg"), folder.path().join("lion.jpg")).unwrap();
    for target in TARGETS {
        let (child, _watchdog) = running(folder.path(), QUERIES[1], target, "/0");
        let id = child.id();
        signal(id, "KILL");
        child.wait_with_output().unwrap();
        let hidden = format!(".seequel-copy-{id}-0");
        assert!(entries(folder.path()).iter().any(|name| name.ends_with(&format!("{hidden}/0"))));
    }
    // Neither is taken for data, nor in the way of the next statement.
    let sql = "SELECT label FROM 'precious.csv';
               CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'out/'; SELECT label FROM t;
               SET datafusion.execution.listing_table_ignore_subdirectory = false; SELECT label FROM t;
               SELECT count(*) AS n FROM read_images('.');
               COPY (SELECT 1 AS a) TO 'out/' STORED AS CSV OPTIONS (mode 'overwrite')";
    let label = "label\nkept\n";
    assert_eq!(run(folder.path(), sql).stdout(), format!("{label}{label}{label}n\n1\ncount\n1\n"));
}

#[test]
fn folders_that_cannot_be_written_are_named_before_rows_are_read() {
    let folder = precious();
    let copy = |to: &str| {
        run(folder.path(), &format!("COPY (SELECT 1 / (value - 1) FROM generate_series(1, 2)) TO {to}"))
            .error()
    };
    let error = copy("'precious.csv/new/r.csv'");
    assert!(error.starts_with("Error: 'precious.csv/new/r.csv': the folder /"), "{error}");
    assert!(error.contains("precious.csv/new can't be written: Not a directory"), "{error}");
    assert_untouched(folder.path());
    // Not even root can write there.
    for target in ["'/sys/r.csv'", "'/sys/new/' STORED AS CSV"] {
        let error = copy(target);
        assert!(error.contains("the folder /sys") && error.contains("can't be written: "), "{error}");
    }
}

fn all_at_once(folder: &Path, statements: impl Iterator<Item = String>) -> Vec<Outcome> {
    let started: Vec<_> = statements
        .map(|sql| start(&mut seequel(folder, &["-q", "--format", "csv", "-c", &sql]), Stdio::null()))
        .collect();
    started.into_iter().map(|(child, _watchdog)| child.wait_with_output().unwrap().into()).collect()
}

#[test]
fn of_statements_that_replace_a_target_at_once_the_last_remains_whole() {
    let folder = precious();
    let rows =
        |number: usize| format!("SELECT {number} AS path, value AS label FROM generate_series(1, 20000)");
    for target in TARGETS {
        let outcomes =
            all_at_once(folder.path(), (0..4).map(|number| format!("COPY ({}) TO {target}", rows(number))));
        outcomes.into_iter().for_each(|outcome| assert_eq!(outcome.stdout(), "count\n20000\n"));
    }
    let sql = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'out/';
               SELECT count(*) AS n, count(DISTINCT path) AS statements FROM t;
               SELECT count(*) AS n, count(DISTINCT path) AS statements FROM 'precious.csv'";
    let expected = "n,statements\n20000,1\n";
    assert_eq!(run(folder.path(), sql).stdout(), format!("{expected}{expected}"));
    assert!(!entries(folder.path()).iter().any(|name| name.contains("seequel")));
}

#[test]
fn of_statements_that_fill_an_empty_folder_at_once_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let copy = "COPY (SELECT value FROM generate_series(1, 200000)) TO 'new/' STORED AS CSV";
    let outcomes = all_at_once(folder.path(), (0..4).map(|_| copy.to_owned()));
    let (succeeded, refused): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| outcome.status == Some(0));
    assert_eq!(succeeded.len(), 1);
    refused.into_iter().for_each(|outcome| assert!(outcome.error().contains("the folder holds ")));
    let sql = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'new/'; SELECT count(*) AS n FROM t";
    assert_eq!(run(folder.path(), sql).stdout(), "n\n200000\n");
}
