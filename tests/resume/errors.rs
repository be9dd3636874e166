//! `COPY … OPTIONS (resume …, errors …)`: each failure is listed once, whatever interrupts the statement.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{assert_metric, folder_with, number, run, running, shown_rows};
use crate::support;
use crate::support::process::{Outcome, signal};

/// Photos of which every fifth is text, and every tenth is cut.
fn mixed_folder(count: usize) -> TempDir {
    let folder = folder_with(count);
    let lion = fs::read(support::photos().join("lion.jpg")).unwrap();
    for number in (0..count).filter(|number| number % 5 == 2 || number % 10 == 5) {
        let file = folder.path().join(format!("photos/{number:04}.jpg"));
        fs::remove_file(&file).unwrap();
        let content = if number % 5 == 2 { b"not a photo".as_slice() } else { &lion[..lion.len() / 2] };
        fs::write(file, content).unwrap();
    }
    folder
}

/// Failures of models and of image functions.
const QUERY: &str = "SELECT path, classify(image)['label'] AS label, thumbnail(image, 20) AS small
                     FROM read_images('photos/')";

fn copy(on_error: &str, query: &str, key: &str) -> String {
    format!(
        "SET inference.on_error = '{on_error}';
         COPY ({query}) TO 'out/' STORED AS PARQUET
         OPTIONS (resume '{key}', commit_rows 10, errors 'errors.parquet')"
    )
}

/// Runs statements that may warn of failures.
fn rows(folder: &Path, sql: &str) -> String {
    let Outcome { status, stdout, stderr } = run(folder, sql);
    assert_eq!(status, Some(0), "{stderr}");
    stdout
}

/// Rows that are in the log, and rows that were left out.
fn finished(folder: &Path) -> (usize, usize) {
    let shown = run(folder, "SHOW RESUMABLE 'out/'");
    if shown.status == Some(1) {
        return (0, 0);
    }
    let skipped = shown.stdout.trim_end().rsplit(',').nth(5).unwrap().parse().unwrap();
    (shown_rows(&shown.stdout), skipped)
}

/// Compares results and failures with those of an uninterrupted COPY that can't be continued.
#[track_caller]
fn assert_whole(folder: &Path, on_error: &str, query: &str) {
    let both = |one: &str, other: &str| {
        format!(
            "SELECT count(*) AS n FROM (SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other});
             SELECT count(*) AS n FROM (SELECT * FROM {other} EXCEPT ALL SELECT * FROM {one});"
        )
    };
    let sql = format!(
        "SET inference.on_error = '{on_error}';
         COPY ({query}) TO 'whole/' STORED AS PARQUET OPTIONS (mode 'overwrite', errors 'whole-errors.parquet');
         CREATE EXTERNAL TABLE whole STORED AS PARQUET LOCATION 'whole/';
         CREATE EXTERNAL TABLE parts STORED AS PARQUET LOCATION 'out/'; {}{}",
        both("parts", "whole"),
        both("'errors.parquet'", "'whole-errors.parquet'"),
    );
    let compared = rows(folder, &sql);
    assert!(compared.ends_with("n\n0\nn\n0\nn\n0\nn\n0\n"), "{compared}");
}

/// Kills a COPY of `photos` files `kills` times, within so many milliseconds each, and compares what further runs end with.
fn killed_copy_lists_each_failure_once(on_error: &str, photos: usize, kills: usize, within: u64) {
    let folder = mixed_folder(photos);
    let copy = copy(on_error, QUERY, "path");
    for _ in 0..kills {
        super::kills::kill_within(folder.path(), &copy, within);
    }
    let (child, _watchdog) = running(folder.path(), &copy);
    signal(child.id(), "KILL");
    child.wait_with_output().unwrap();
    let (written, skipped) = finished(folder.path());
    let analyzed = rows(folder.path(), &copy.replace("COPY", "EXPLAIN ANALYZE COPY"));
    assert_metric(&analyzed, "finished_files", written + skipped);
    assert_metric(&analyzed, "chosen_files", photos - written - skipped);
    let failed = (0..photos).filter(|number| number % 5 == 2 || number % 10 == 5).count();
    let expected = if on_error == "skip" { (photos - failed, failed) } else { (photos, 0) };
    assert_eq!(finished(folder.path()), expected);
    let listed = number(run(folder.path(), "SELECT count(DISTINCT path) AS n FROM 'errors.parquet'"));
    assert_eq!(listed, failed);
    assert_whole(folder.path(), on_error, QUERY);
    // Once more, when all is finished.
    fs::remove_file(folder.path().join("errors.parquet")).unwrap();
    let analyzed = rows(folder.path(), &copy.replace("COPY", "EXPLAIN ANALYZE COPY"));
    assert_metric(&analyzed, "finished_files", photos);
    assert_whole(folder.path(), on_error, QUERY);
}

#[test]
fn a_killed_copy_lists_each_failure_once() {
    killed_copy_lists_each_failure_once("null", 120, 3, 1500);
}

#[test]
fn a_killed_copy_lists_each_row_that_it_left_out_once() {
    killed_copy_lists_each_failure_once("skip", 120, 3, 1500);
}

/// `cargo test --test seequel resume::errors::thirty_kills -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn thirty_kills_of_a_copy_of_2000_files() {
    for on_error in ["null", "skip"] {
        killed_copy_lists_each_failure_once(on_error, 2000, 30, 2500);
    }
}

#[test]
fn rows_that_failed_are_done_again_once_their_file_has_changed() {
    for on_error in ["null", "skip"] {
        let folder = mixed_folder(10);
        let query = QUERY.replace("path,", "size AS bytes_of_file, path AS file, modified,");
        let copy = copy(on_error, &query, "path, size, modified");
        rows(folder.path(), &copy);
        let failed = "SELECT count(DISTINCT path) AS n FROM 'errors.parquet'";
        assert_eq!(number(run(folder.path(), failed)), 3);
        let analyzed = rows(folder.path(), &copy.replace("COPY", "EXPLAIN ANALYZE COPY"));
        assert_metric(&analyzed, "finished_files", 10);
        let repaired = folder.path().join("photos/0002.jpg");
        fs::remove_file(&repaired).unwrap();
        fs::copy(support::photos().join("tower.jpg"), repaired).unwrap();
        let analyzed = rows(folder.path(), &copy.replace("COPY", "EXPLAIN ANALYZE COPY"));
        assert_metric(&analyzed, "finished_files", 9);
        assert_metric(&analyzed, "chosen_files", 1);
        let labels = "SELECT count(label) AS n FROM 'out/*.parquet'";
        assert_eq!(number(run(folder.path(), labels)), 8, "{on_error}");
        assert_eq!(number(run(folder.path(), failed)), 3);
    }
}

/// Nothing says that such a row is finished, so each run finds its failure.
#[test]
fn rows_that_where_leaves_out_are_listed_once() {
    let folder = mixed_folder(20);
    let query = format!("{QUERY} WHERE classify(image)['label'] IS NOT NULL");
    let copy = copy("null", &query, "path");
    for _ in 0..2 {
        rows(folder.path(), &copy);
        assert_eq!(finished(folder.path()), (14, 0));
        assert_whole(folder.path(), "null", &query);
    }
}

#[test]
fn a_row_that_fails_the_statement_is_listed_and_continued_with() {
    let folder = mixed_folder(40);
    let query = QUERY.replace("thumbnail(image, 20)", "size");
    let error = run(folder.path(), &copy("fail", &query, "path")).error();
    assert!(error.contains("inference.on_error is 'fail'"), "{error}");
    let listed = number(run(folder.path(), "SELECT count(*) AS n FROM 'errors.parquet'"));
    assert!(listed > 0);
    rows(folder.path(), &copy("skip", &query, "path"));
    assert_whole(folder.path(), "skip", &query);
    let error = run(folder.path(), &copy("null", &query, "path")).error();
    assert!(error.contains("the setting inference.on_error has changed from skip to null"), "{error}");
}

#[test]
fn entries_that_cannot_be_listed_are_those_of_the_last_run() {
    let folder = mixed_folder(10);
    let link = folder.path().join("photos/gone.jpg");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let copy = copy("null", QUERY, "path");
    let unlisted = "SELECT count(*) AS n FROM 'errors.parquet' WHERE stage = 'list'";
    for _ in 0..2 {
        rows(folder.path(), &copy);
        assert_eq!(number(run(folder.path(), unlisted)), 1);
    }
    fs::remove_file(&link).unwrap();
    rows(folder.path(), &copy);
    assert_eq!(number(run(folder.path(), unlisted)), 0);
    assert_whole(folder.path(), "null", QUERY);
}
