//! Failures, partitions, buckets, listings that a task makes, and statements that are stopped.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::super::processes::Cluster;
use super::super::{alone, on};
use super::{
    MODEL, assert_nothing_left, assert_whole, begin, committed, copy, entries, folder_with, wait_for_rows,
};
use crate::support::process::{Outcome, seequel, signal, start};
use crate::support::s3::S3;

/// Runs statements that may warn of failures.
#[track_caller]
fn rows(outcome: Outcome) -> String {
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

/// As `one`, `other` has the same rows.
fn same(one: &str, other: &str) -> String {
    format!(
        "SELECT count(*) AS n FROM (SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other});
         SELECT count(*) AS n FROM (SELECT * FROM {other} EXCEPT ALL SELECT * FROM {one});"
    )
}

#[test]
fn each_failure_is_listed_once_whoever_is_killed() {
    let (mut cluster, folder) = (Cluster::start(2), folder_with(600));
    for number in (0..600).step_by(5) {
        let file = folder.path().join(format!("photos/{number:04}.jpg"));
        fs::remove_file(&file).unwrap();
        fs::write(file, "not a photo").unwrap();
    }
    // Rows that WHERE leaves out after they have failed are in no part.
    let query = "SELECT path, classify(image, 'tiny')['label'] AS label, thumbnail(image, 20) AS small
                 FROM read_images('photos/')";
    let filtered = format!("{query} WHERE classify(image, 'tiny')['label'] IS NOT NULL");
    for (on_error, query, written) in [("null", query, 600), ("skip", query, 480), ("null", &filtered, 480)] {
        let copy = |to: &str, options: &str| {
            format!(
                "SET inference.on_error = '{on_error}'; {MODEL}
                 COPY ({query}) TO '{to}/' STORED AS PARQUET OPTIONS ({options}, errors '{to}-errors.parquet')"
            )
        };
        let resumed = copy("out", "resume 'path', commit_rows 10");
        let arguments = ["--cluster", &cluster.url, "-q", "-c", &resumed];
        let (child, _watchdog) = start(&mut seequel(folder.path(), &arguments), Stdio::null());
        wait_for_rows(folder.path(), 0, 60);
        cluster.kill_executor(0);
        cluster.replace_executor(0);
        let first = if on_error == "skip" {
            signal(child.id(), "KILL");
            child.wait_with_output().unwrap();
            2
        } else {
            rows(child.wait_with_output().unwrap().into());
            1
        };
        // The second run lists the failures of the first, too.
        rows(on(&cluster, folder.path(), &resumed));
        assert_eq!(
            (committed(folder.path()).len(), committed(folder.path()).iter().sum()),
            (2, written),
            "{first}"
        );
        rows(alone(folder.path(), &copy("whole", "mode 'overwrite'")));
        let compare = format!(
            "CREATE EXTERNAL TABLE whole STORED AS PARQUET LOCATION 'whole/';
             CREATE EXTERNAL TABLE parts STORED AS PARQUET LOCATION 'out/'; {}{}
             SELECT count(DISTINCT path) AS failed FROM 'out-errors.parquet'",
            same("parts", "whole"),
            same("'out-errors.parquet'", "'whole-errors.parquet'")
        );
        let compared = alone(folder.path(), &compare).stdout();
        assert_eq!(compared, "n\n0\nn\n0\nn\n0\nn\n0\nfailed\n120\n", "{on_error}: {query}");
        assert_nothing_left(folder.path());
        fs::remove_dir_all(folder.path().join("out")).unwrap();
    }
}

#[test]
fn partitions_are_written_by_tasks() {
    let (cluster, folder) = (Cluster::start(2), folder_with(60));
    let copy = |to: &str, options: &str| {
        format!(
            "COPY (SELECT path, size, concat('k ', right(path, 5)) AS kind FROM read_images('photos/'))
             TO '{to}/' STORED AS PARQUET PARTITIONED BY (kind) {options}"
        )
    };
    assert_eq!(on(&cluster, folder.path(), &copy("out", "OPTIONS (resume 'path')")).stdout(), "count\n60\n");
    alone(folder.path(), &copy("whole", "")).stdout();
    let table = |name: &str, to: &str| {
        format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET PARTITIONED BY (kind) LOCATION '{to}/';")
    };
    let sql = [table("parts", "out"), table("whole", "whole"), same("parts", "whole")].concat();
    assert_eq!(alone(folder.path(), &sql).stdout(), "n\n0\nn\n0\n");
}

#[test]
fn a_statement_that_is_stopped_says_what_is_committed() {
    let (cluster, folder) = (Cluster::start(2), folder_with(1500));
    for (run, (name, status)) in [("INT", 130), ("TERM", 143)].into_iter().enumerate() {
        let (child, _watchdog) = begin(&cluster, folder.path());
        wait_for_rows(folder.path(), run, 50);
        signal(child.id(), name);
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        let runs = committed(folder.path());
        let all = runs.iter().sum::<u64>();
        assert!(all < 1500, "{runs:?}");
        let expected = format!(
            "'out/': stopped with {all} rows committed, {} of them in this run; the same statement continues from there\n",
            runs[run]
        );
        assert_eq!((outcome.status, outcome.stderr), (Some(status), expected));
        assert_eq!(entries(folder.path()).last().unwrap()["entry"], "end");
    }
    let ran = on(&cluster, folder.path(), &copy());
    assert_eq!(ran.status, Some(0), "{ran:?} {}", cluster.logs());
    assert_whole(folder.path(), &committed(folder.path()));
}

#[test]
fn a_task_that_lists_leaves_out_what_is_finished() {
    const FILES: u64 = 17_500;
    let (cluster, folder) = (Cluster::start(2), tempfile::tempdir().unwrap());
    let image = folder.path().join("image.png");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/png/rgb.png"), &image).unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    let link =
        |number: u64| fs::hard_link(&image, folder.path().join(format!("photos/{number:05}.png"))).unwrap();
    let copy =
        "COPY (SELECT path, width, modified, size FROM read_images('photos/')) TO 'out/' STORED AS PARQUET
                OPTIONS (resume 'path, size, modified')";
    (0..500).for_each(link);
    assert_eq!(on(&cluster, folder.path(), copy).stdout(), "count\n500\n");
    (500..FILES).for_each(link);
    let ran = on(&cluster, folder.path(), copy);
    assert_eq!(ran.stdout, format!("count\n{}\n", FILES - 500), "{} {}", ran.stderr, cluster.logs());
    let counts = "SELECT count(*) AS n, count(DISTINCT path) AS paths FROM 'out/'";
    assert_eq!(alone(folder.path(), counts).stdout(), format!("n,paths\n{FILES},{FILES}\n"));
    assert_eq!(alone(folder.path(), copy).stdout(), "count\n0\n");
    assert_nothing_left(folder.path());
}

#[test]
fn parts_are_written_to_a_bucket() {
    let photos = folder_with(150);
    let mut server = S3::of(photos.path());
    server.throttle(8_000_000);
    let environment = server.environment();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut cluster = Cluster::start_with(2, &[], &environment);
    let locks = tempfile::tempdir().unwrap();
    let copy = "COPY (SELECT path, classify(image)['label'] AS label FROM read_images('s3://photos/photos/'))
                TO 's3://photos/out/' STORED AS PARQUET OPTIONS (resume 'path', commit_rows 10)";
    let url = cluster.url.clone();
    let run = || {
        let mut command = server.command(locks.path(), copy);
        command.args(["--cluster", &url]).env("TMPDIR", locks.path());
        command
    };
    let committed = || {
        let shown = server.run("SHOW RESUMABLE 's3://photos/out/'");
        let rows = shown.stdout.trim_end().rsplit(',').nth(6).and_then(|rows| rows.parse::<u64>().ok());
        rows.unwrap_or_default()
    };
    let (child, _watchdog) = start(&mut run(), Stdio::null());
    let started = Instant::now();
    while committed() == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "it commits nothing");
        thread::sleep(Duration::from_millis(50));
    }
    cluster.kill_executor(0);
    signal(child.id(), "KILL");
    child.wait_with_output().unwrap();
    let ran = Outcome::of(&mut run());
    assert_eq!(ran.status, Some(0), "{ran:?} {}", cluster.logs());
    assert_eq!(committed(), 150);
    let counts =
        "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(label) AS labels FROM 's3://photos/out/'";
    assert_eq!(server.run(counts).stdout(), "n,paths,labels\n150,150,150\n");
}
