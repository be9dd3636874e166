//! `COPY … OPTIONS (resume …)`: tasks write the parts, each row once, whoever is killed.

mod kinds;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::processes::Cluster;
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel, signal, start};

const MODEL: &str = concat!(
    "CREATE MODEL tiny FROM '",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/models/transformer.onnx' OPTIONS (task 'image-classification');"
);
const QUERY: &str = "SELECT path, classify(image, 'tiny') AS p, size FROM read_images('photos/')";

pub(super) fn copy() -> String {
    format!("{MODEL} COPY ({QUERY}) TO 'out/' STORED AS PARQUET OPTIONS (resume 'path', commit_rows 10)")
}

/// A folder with `count` photos in `photos/`.
pub(super) fn folder_with(count: usize) -> tempfile::TempDir {
    let (folder, photos) = (tempfile::tempdir_in(crate::support::home()).unwrap(), folder_of(count));
    fs::rename(photos.path(), folder.path().join("photos")).unwrap();
    folder
}

/// The entries of the log; none before it begins.
fn entries(folder: &Path) -> Vec<Value> {
    let file = |number: usize| fs::read(folder.join(format!("out/_seequel/{number:08}.json"))).ok();
    (1..).map_while(file).map(|entry| serde_json::from_slice(&entry).unwrap()).collect()
}

/// The rows that are committed, by each run.
pub(super) fn committed(folder: &Path) -> Vec<u64> {
    let mut runs: Vec<(String, u64)> = vec![];
    for entry in entries(folder) {
        match entry["entry"].as_str().unwrap() {
            "start" => runs.push((entry["run"].as_str().unwrap().to_owned(), 0)),
            "commit" => {
                let (run, rows) = runs.last_mut().unwrap();
                assert_eq!(entry["run"].as_str().unwrap(), run);
                *rows += entry["rows"].as_u64().unwrap();
            }
            _ => {}
        }
    }
    runs.into_iter().map(|(_, rows)| rows).collect()
}

pub(super) fn wait_for_rows(folder: &Path, run: usize, least: u64) {
    let started = Instant::now();
    while committed(folder).get(run).is_none_or(|rows| *rows < least) {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", committed(folder));
        thread::sleep(Duration::from_millis(20));
    }
}

/// Checks that the folder has the rows of the query, and nothing besides what the log names.
#[track_caller]
pub(super) fn assert_whole(folder: &Path, context: &dyn std::fmt::Debug) {
    let sql = format!(
        "{MODEL} COPY ({QUERY}) TO 'whole/' STORED AS PARQUET OPTIONS (mode 'overwrite');
         CREATE EXTERNAL TABLE whole STORED AS PARQUET LOCATION 'whole/';
         CREATE EXTERNAL TABLE parts STORED AS PARQUET LOCATION 'out/';
         SELECT count(*) - count(DISTINCT path) AS twice FROM parts;
         SELECT count(*) AS more FROM (SELECT * FROM parts EXCEPT ALL SELECT * FROM whole);
         SELECT count(*) AS less FROM (SELECT * FROM whole EXCEPT ALL SELECT * FROM parts)"
    );
    let compared = alone(folder, &sql).stdout();
    assert!(compared.ends_with("twice\n0\nmore\n0\nless\n0\n"), "{compared} {context:?}");
    assert_nothing_left(folder);
}

/// Checks that the folder and its log have no files besides those that the log names.
#[track_caller]
pub(super) fn assert_nothing_left(folder: &Path) {
    let entries = entries(folder);
    let mut named: Vec<String> = vec!["_seequel".to_owned()];
    let mut in_log: Vec<String> = (1..=entries.len()).map(|number| format!("{number:08}.json")).collect();
    in_log.push("lock".to_owned());
    for entry in &entries {
        let files = entry["files"].as_array().into_iter().flatten();
        named.extend(files.map(|file| file.as_str().unwrap().to_owned()));
        let of_log = ["keys", "errors", "other_errors"].iter().filter_map(|name| entry[name].as_str());
        in_log.extend(of_log.map(ToOwned::to_owned));
    }
    for (folder, mut expected) in [(folder.join("out"), named), (folder.join("out/_seequel"), in_log)] {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        files.sort();
        expected.sort();
        assert_eq!(files, expected);
    }
}

fn begin(cluster: &Cluster, folder: &Path) -> (std::process::Child, crate::support::process::Watchdog) {
    let sql = copy();
    start(&mut seequel(folder, &["--cluster", &cluster.url, "-q", "-c", &sql]), Stdio::null())
}

#[test]
fn tasks_write_the_rows_and_the_statement_goes_on_anywhere() {
    let (cluster, folder) = (Cluster::start(2), folder_with(60));
    assert_eq!(on(&cluster, folder.path(), &copy()).stdout(), "count\n60\n", "{}", cluster.logs());
    assert_eq!(committed(folder.path()), [60]);
    assert!(entries(folder.path()).len() > 6, "a part a task");
    assert_whole(folder.path(), &"once");
    // Again, without anything new; alone; and with new files on the cluster.
    assert_eq!(on(&cluster, folder.path(), &copy()).stdout(), "count\n0\n");
    let photo = folder.path().join("photos/more-1.jpg");
    fs::hard_link(
        fs::read_dir(folder.path().join("photos")).unwrap().next().unwrap().unwrap().path(),
        &photo,
    )
    .unwrap();
    assert_eq!(alone(folder.path(), &copy()).stdout(), "count\n1\n");
    fs::hard_link(&photo, folder.path().join("photos/more-2.jpg")).unwrap();
    assert_eq!(on(&cluster, folder.path(), &copy()).stdout(), "count\n1\n");
    assert_eq!(committed(folder.path()), [60, 0, 1, 1]);
    assert_whole(folder.path(), &"four times");
}

#[test]
fn a_killed_executor_costs_only_unfinished_tasks() {
    let (mut cluster, folder) = (Cluster::start(2), folder_with(1000));
    for executor in 0..2 {
        let (child, _watchdog) = begin(&cluster, folder.path());
        wait_for_rows(folder.path(), 0, 100);
        cluster.kill_executor(executor);
        cluster.replace_executor(executor);
        let ran = Outcome::from(child.wait_with_output().unwrap());
        assert_eq!(ran.status, Some(0), "{ran:?} {}", cluster.logs());
        assert_eq!(committed(folder.path()), [1000]);
        assert_whole(folder.path(), &executor);
        fs::remove_dir_all(folder.path().join("out")).unwrap();
    }
}

#[test]
fn a_killed_client_leaves_what_is_committed() {
    let (cluster, folder) = (Cluster::start(2), folder_with(1000));
    for run in 0..2 {
        let (child, _watchdog) = begin(&cluster, folder.path());
        wait_for_rows(folder.path(), run, 100);
        signal(child.id(), "KILL");
        child.wait_with_output().unwrap();
    }
    // The tasks of the run before may still be there.
    let last = on(&cluster, folder.path(), &copy());
    assert_eq!(last.status, Some(0), "{last:?} {}", cluster.logs());
    let runs = committed(folder.path());
    assert_eq!((runs.len(), runs.iter().sum::<u64>()), (3, 1000), "{runs:?}");
    assert_eq!(last.stdout, format!("count\n{}\n", runs[2]));
    assert_whole(folder.path(), &runs);
}
