//! Processes that are killed at random moments.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use super::{QUERY, assert_metric, committed, copy, finish, folder_with, run, running};
use crate::support::process::{seequel, signal, start};

/// A number below `end`, another one each time.
pub(super) fn random(end: u64) -> u64 {
    RandomState::new().hash_one(()) % end
}

fn kill(folder: &Path, most: u64) -> bool {
    kill_within(folder, &copy(QUERY), most)
}

/// Starts a COPY, and kills it within `most` milliseconds; returns whether it still ran.
pub(super) fn kill_within(folder: &Path, copy: &str, most: u64) -> bool {
    let (child, _watchdog) = start(&mut seequel(folder, &["-q", "-c", copy]), Stdio::null());
    let delay = random(most);
    thread::sleep(Duration::from_millis(delay));
    let is_running = kill_now(child);
    println!("after {delay} ms: {} rows", committed(folder));
    is_running
}

/// Kills a process; returns whether it still ran.
pub(super) fn kill_now(mut child: Child) -> bool {
    let is_running = child.try_wait().unwrap().is_none();
    if is_running {
        signal(child.id(), "KILL");
    }
    child.wait_with_output().unwrap();
    is_running
}

#[test]
fn a_copy_that_is_killed_at_random_moments_ends_with_each_row_once() {
    let folder = folder_with(200);
    for _ in 0..4 {
        kill(folder.path(), 1500);
    }
    // At least one part is there before the end, whatever the moments were.
    let (child, _watchdog) = running(folder.path(), &copy(QUERY));
    signal(child.id(), "KILL");
    child.wait_with_output().unwrap();
    finish(folder.path(), 200);
}

/// `cargo test --test seequel thirty_kills -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn thirty_kills_of_a_copy_of_2000_photos() {
    let folder = folder_with(2000);
    let mut kills = 0;
    for _ in 0..30 {
        kills += usize::from(kill(folder.path(), 2500));
    }
    println!("{kills} of 30 were killed while they ran");
    finish(folder.path(), 2000);
}

#[test]
fn partitions_of_a_killed_copy_are_completed() {
    let folder = folder_with(100);
    let query =
        "SELECT path, size, concat('a/b %', classify(image)['label']) AS label FROM read_images('photos/')";
    let copy = |to: &str, options: &str| {
        format!("COPY ({query}) TO '{to}/' STORED AS PARQUET PARTITIONED BY (label) {options}")
    };
    let resumed = copy("out", "OPTIONS (resume 'path', commit_rows 10)");
    let (child, _watchdog) = running(folder.path(), &resumed);
    signal(child.id(), "KILL");
    child.wait_with_output().unwrap();
    let before = committed(folder.path());
    let analyzed = run(folder.path(), &format!("EXPLAIN ANALYZE {resumed}")).stdout();
    assert_metric(&analyzed, "inferred_rows", 100 - before);
    run(folder.path(), &copy("whole", "")).stdout();
    let table = |name: &str, folder: &str| {
        format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET PARTITIONED BY (label) LOCATION '{folder}/'")
    };
    let sql = format!(
        "{}; {}; SELECT count(*) AS n, count(DISTINCT label) > 3 AS several FROM parts;
         SELECT count(*) AS more FROM (SELECT * FROM parts EXCEPT ALL SELECT * FROM whole)",
        table("parts", "out"),
        table("whole", "whole")
    );
    assert_eq!(run(folder.path(), &sql).stdout(), "n,several\n100,true\nmore\n0\n");
}
