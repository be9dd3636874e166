//! `COPY … OPTIONS ('errors' …)` lists the failed rows of all tasks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::processes::Cluster;
use super::{alone, on};
use crate::support::process::{Outcome, seequel, start};
use crate::support::{folder_of, home, photos};

/// `count` photos in `in/`, half a photo after each of them and a text named as one, and an entry that can't be listed.
fn mixed_folder(count: usize) -> TempDir {
    let (folder, photos_of) = (tempfile::tempdir_in(home()).unwrap(), folder_of(count));
    let inside = folder.path().join("in");
    fs::rename(photos_of.path(), &inside).unwrap();
    let lion = fs::read(photos().join("lion.jpg")).unwrap();
    for number in 0..count {
        fs::write(inside.join(format!("{number:04}.cut.jpg")), &lion[..lion.len() / 2]).unwrap();
        fs::write(inside.join(format!("{number:04}.text.jpg")), "not a photo").unwrap();
    }
    symlink("nowhere", inside.join("gone.jpg")).unwrap();
    folder
}

const LISTED: &str =
    "SELECT path, stage, model, error FROM 'errors.parquet' ORDER BY path, stage, model, error";
const TO: &str = "TO 'v.parquet' OPTIONS ('errors' 'errors.parquet')";

/// What the errors file lists, and the number of rows of the results.
fn found(folder: &Path) -> (String, String) {
    let listed = alone(folder, LISTED).stdout();
    (listed, alone(folder, "SELECT count(*) AS n FROM 'v.parquet'").stdout())
}

fn clear(folder: &Path) {
    for file in ["v.parquet", "errors.parquet"] {
        let _ = fs::remove_file(folder.join(file));
    }
}

#[test]
fn the_errors_file_is_that_of_one_machine() {
    let (cluster, folder) = (Cluster::start(2), mixed_folder(20));
    let both = "SELECT name, embed(image) AS v, classify(image, 'efficientnet_lite2')['label'] AS l FROM read_images('in')";
    let queries = [
        "SELECT embed(image) AS v FROM read_images('in')".to_owned(),
        both.to_owned(),
        // Each row once, also where another operator infers after a filter, and where rows are left out.
        format!("SELECT * FROM ({both}) WHERE l IS NULL OR name < '0010'"),
        // Functions and calls in expressions, with and without the names of their rows.
        "SELECT thumbnail(image, 20) AS v FROM read_images('in')".to_owned(),
        "SELECT path, phash(crop(image, 0, 0, 50, 50)) AS v FROM read_images('in')".to_owned(),
        "SELECT path, CASE WHEN size > 20 THEN embed(image) END AS v FROM read_images('in')".to_owned(),
        // In stages below others, and in the branches of a union.
        "SELECT classify(image)['label'] AS label, count(*) AS n FROM read_images('in') GROUP BY 1".to_owned(),
        "SELECT embed(image) AS v FROM read_images('in/*0*.jpg') UNION ALL SELECT embed(image) FROM read_images('in/*1*.jpg')"
            .to_owned(),
        "SELECT path, embed(image) AS v FROM read_images('in') ORDER BY size LIMIT 50".to_owned(),
        // Nothing fails, and nothing is read of images.
        "SELECT size FROM read_images('in/*.jpg') WHERE size > 100".to_owned(),
    ];
    for on_error in ["null", "skip"] {
        for query in &queries {
            let sql = format!("SET inference.on_error = '{on_error}'; COPY ({query}) {TO}");
            clear(folder.path());
            let expected = alone(folder.path(), &sql).stdout;
            let found_alone = found(folder.path());
            clear(folder.path());
            let ran = on(&cluster, folder.path(), &sql);
            assert_eq!(ran.stdout, expected, "{sql}: {}\n{}", ran.stderr, cluster.logs());
            assert_eq!(found(folder.path()), found_alone, "{sql}");
        }
    }
}

#[test]
fn the_statement_tells_how_many_are_listed() {
    let (cluster, folder) = (Cluster::start(1), mixed_folder(4));
    let copy = format!("COPY (SELECT embed(image) AS v FROM read_images('in')) {TO}");
    let arguments = ["--cluster", &cluster.url, "-c", &copy];
    let shown = Outcome::of(&mut seequel(folder.path(), &arguments)).stdout;
    assert!(shown.contains("9 in the errors file."), "{shown}");
    // What is listed is no number of an operator.
    let plan = on(&cluster, folder.path(), &format!("EXPLAIN ANALYZE {copy}")).stdout;
    assert!(
        plan.contains("TellFailedExec") && !plan.contains("not a photo") && !plan.contains("list:"),
        "{plan}"
    );
    // EXPLAIN writes nothing.
    clear(folder.path());
    assert_eq!(on(&cluster, folder.path(), &format!("EXPLAIN {copy}")).status, Some(0));
    assert!(!folder.path().join("errors.parquet").exists());
}

#[test]
fn a_statement_that_too_many_failed_rows_end_lists_them() {
    let (cluster, folder) = (Cluster::start(2), mixed_folder(40));
    let listed = || {
        let count = alone(folder.path(), "SELECT count(*) AS n FROM 'errors.parquet'").stdout();
        count.trim_start_matches("n\n").trim().parse::<usize>().unwrap()
    };
    let query = "COPY (SELECT path, embed(image) AS v FROM read_images('in'))";
    for (limit, expected) in [
        ("max_errors = 5", "more than inference.max_errors (5)"),
        ("max_error_ratio = 0.5", "a larger share than inference.max_error_ratio (0.5)"),
    ] {
        clear(folder.path());
        let error = on(&cluster, folder.path(), &format!("SET inference.{limit}; {query} {TO}")).error();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("; 'errors.parquet' lists what failed until then"), "{error}");
        assert!(listed() > 5, "{}", listed());
        assert!(!folder.path().join("v.parquet").exists());
    }
    // Another reason leaves the old file as it was.
    let old = fs::read(folder.path().join("errors.parquet")).unwrap();
    let fails = "COPY (SELECT embed(image) AS v, 1 / (size - size) AS one FROM read_images('in'))";
    on(&cluster, folder.path(), &format!("{fails} {TO}")).error();
    assert_eq!(fs::read(folder.path().join("errors.parquet")).unwrap(), old);
}

/// Tasks whose executor is lost are done again, and their rows are listed once.
#[test]
fn repeated_tasks_list_their_rows_once() {
    let (mut cluster, folder) = (Cluster::start(2), mixed_folder(700));
    let copy = format!("COPY (SELECT name, embed(image) AS v FROM read_images('in')) {TO}");
    let arguments = ["--cluster", &cluster.url, "-q", "--format", "csv", "-c", &copy];
    let (mut child, _watchdog) = start(&mut seequel(folder.path(), &arguments), Stdio::null());
    thread::sleep(Duration::from_millis(1500));
    cluster.kill_executor(0);
    assert!(child.try_wait().unwrap().is_none(), "it had ended before the kill");
    let ran: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(ran.stdout, "count\n2100\n", "{}\n{}", ran.stderr, cluster.logs());
    let counts = "SELECT count(*) AS n, count(DISTINCT path) AS files FROM 'errors.parquet'";
    assert_eq!(alone(folder.path(), counts).stdout(), "n,files\n1401,1401\n");
}
