//! The same in a bucket.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::kills::{kill_now, random};
use super::{assert_metric, shown_rows};
use crate::support::process::{Outcome, Watchdog, signal, start};
use crate::support::s3::S3;

/// A server with photos, of which a COPY reads some dozens a second, and a folder for the locks of this test.
fn server(photos: usize) -> (S3, tempfile::TempDir) {
    let folder = super::folder_with(photos);
    let mut server = S3::of(folder.path());
    server.throttle(8_000_000);
    (server, folder)
}

const QUERY: &str =
    "SELECT path, classify(image)['label'] AS label, size FROM read_images('s3://photos/photos/')";

fn copy() -> String {
    format!("COPY ({QUERY}) TO 's3://photos/out/' STORED AS PARQUET OPTIONS (resume 'path', commit_rows 10)")
}

fn committed(server: &S3) -> usize {
    let shown = server.run("SHOW RESUMABLE 's3://photos/out/'");
    if shown.status == Some(1) { 0 } else { shown_rows(&shown.stdout()) }
}

/// Starts a COPY whose locks are in `locks`, and returns once more than `rows` are committed.
fn running(server: &S3, locks: &Path, rows: usize) -> (Child, Watchdog) {
    let running = start(server.command(locks, &copy()).env("TMPDIR", locks), Stdio::null());
    let started = Instant::now();
    while committed(server) <= rows {
        assert!(started.elapsed() < Duration::from_secs(60), "it commits nothing");
        thread::sleep(Duration::from_millis(50));
    }
    running
}

/// Runs the COPY to its end: it infers what was not committed, and the rows are those of an uninterrupted one.
#[track_caller]
fn finish(server: &S3, photos: usize) {
    let before = committed(server);
    let analyzed = server.run(&format!("EXPLAIN ANALYZE {}", copy())).stdout();
    assert_metric(&analyzed, "finished_files", before);
    assert_metric(&analyzed, "chosen_files", photos - before);
    let sql = format!(
        "COPY ({QUERY}) TO 's3://photos/whole/' STORED AS PARQUET;
         CREATE EXTERNAL TABLE whole STORED AS PARQUET LOCATION 's3://photos/whole/';
         CREATE EXTERNAL TABLE parts STORED AS PARQUET LOCATION 's3://photos/out/';
         SELECT count(*) AS n FROM parts;
         SELECT count(*) AS more FROM (SELECT * FROM parts EXCEPT ALL SELECT * FROM whole)"
    );
    let compared = server.run(&sql).stdout();
    assert!(compared.ends_with(&format!("n\n{photos}\nmore\n0\n")), "{compared}");
}

#[test]
fn a_killed_copy_in_a_bucket_ends_with_each_row_once() {
    let (server, folder) = server(150);
    let mut rows = 0;
    for _ in 0..2 {
        let (child, _watchdog) = running(&server, folder.path(), rows);
        signal(child.id(), "KILL");
        child.wait_with_output().unwrap();
        rows = committed(&server);
    }
    assert!(rows < 150, "{rows}");
    finish(&server, 150);
}

/// `cargo test --test seequel thirty_kills -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn thirty_kills_of_a_copy_of_2000_photos_in_a_bucket() {
    let folder = super::folder_with(2000);
    let server = S3::of(folder.path());
    let mut kills = 0;
    for _ in 0..30 {
        let (child, _watchdog) =
            start(server.command(folder.path(), &copy()).env("TMPDIR", folder.path()), Stdio::null());
        let delay = random(4000);
        thread::sleep(Duration::from_millis(delay));
        kills += usize::from(kill_now(child));
        println!("after {delay} ms: {} rows", committed(&server));
    }
    println!("{kills} of 30 were killed while they ran");
    finish(&server, 2000);
}

#[test]
fn a_killed_copy_in_a_bucket_lists_each_failure_once() {
    let folder = super::folder_with(100);
    for number in (0..100).step_by(5) {
        let file = folder.path().join(format!("photos/{number:04}.jpg"));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(file, "not a photo").unwrap();
    }
    let server = S3::of(folder.path());
    let copy = |on_error: &str, out: &str, options: &str| {
        format!(
            "SET inference.on_error = '{on_error}';
             COPY ({QUERY}) TO 's3://photos/{out}/' STORED AS PARQUET
             OPTIONS ({options} errors 's3://photos/{out}-errors.parquet')"
        )
    };
    for on_error in ["null", "skip"] {
        let out = format!("out-{on_error}");
        let copy = |to: &str, options: &str| copy(on_error, to, options);
        let resumed = copy(&out, "resume 'path', commit_rows 10,");
        let (child, _watchdog) =
            start(server.command(folder.path(), &resumed).env("TMPDIR", folder.path()), Stdio::null());
        let show = format!("SHOW RESUMABLE 's3://photos/{out}/'");
        let started = Instant::now();
        while server.run(&show).status == Some(1) || shown_rows(&server.run(&show).stdout()) < 10 {
            assert!(started.elapsed() < Duration::from_secs(60), "it commits nothing");
            thread::sleep(Duration::from_millis(50));
        }
        signal(child.id(), "KILL");
        child.wait_with_output().unwrap();
        assert_eq!(server.run(&resumed).status, Some(0));
        assert_eq!(server.run(&copy("whole", "mode 'overwrite',")).status, Some(0));
        let table = |name: &str, to: &str| {
            format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION 's3://photos/{to}';")
        };
        let tables = [
            table("parts", &format!("{out}/")),
            table("whole", "whole/"),
            table("part_errors", &format!("{out}-errors.parquet")),
            table("whole_errors", "whole-errors.parquet"),
        ];
        let differ = |one: &str, other: &str| {
            format!("SELECT count(*) AS n FROM (SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other});")
        };
        let sql = format!(
            "{} {}{}{}{} SELECT count(*) AS n FROM part_errors",
            tables.concat(),
            differ("parts", "whole"),
            differ("whole", "parts"),
            differ("part_errors", "whole_errors"),
            differ("whole_errors", "part_errors"),
        );
        assert_eq!(server.run(&sql).stdout(), "n\n0\nn\n0\nn\n0\nn\n0\nn\n20\n", "{on_error}");
    }
}

#[test]
fn of_two_processes_in_a_bucket_one_is_refused() {
    let (server, folder) = server(200);
    let (child, _watchdog) = running(&server, folder.path(), 0);
    // On the same machine it is the second.
    let mut second = server.command(folder.path(), &copy());
    let error = Outcome::of(second.env("TMPDIR", folder.path())).error();
    assert!(error.contains("is writing to this folder"), "{error}");
    // Without its lock, as on another machine, it is the first, at its next entry.
    signal(child.id(), "STOP");
    let other = tempfile::tempdir().unwrap();
    let (second, _watchdog) =
        start(server.command(other.path(), &copy()).env("TMPDIR", other.path()), Stdio::null());
    let second = Outcome::from(second.wait_with_output().unwrap());
    assert_eq!(second.status, Some(0), "{second:?}");
    signal(child.id(), "CONT");
    let first = Outcome::from(child.wait_with_output().unwrap());
    assert!(first.error().contains("another process has begun to write here"));
    finish(&server, 200);
}
