//! Lost processes, wrong addresses, rows that end a query.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::processes::Cluster;
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel, start};

#[test]
fn without_a_scheduler_a_query_says_how_to_start_one() {
    let folder = folder_of(2);
    let sql = "SELECT classify(image) FROM read_images('.')";
    let arguments = ["--cluster", "df://localhost:1", "-q", "-c", sql];
    let error = Outcome::of(&mut seequel(folder.path(), &arguments)).error_line();
    insta::assert_snapshot!(error, @"Error: no scheduler answers at df://localhost:1 (Connection refused (os error 111)); start one with `seequel scheduler`, or check the address");
}

#[test]
fn queries_without_files_need_no_cluster() {
    let folder = folder_of(1);
    let arguments = ["--cluster", "df://localhost:1", "-q", "--format", "csv", "-c"];
    let sql = "CREATE TABLE t AS VALUES (1), (2); SELECT sum(column1) AS s FROM t; SHOW MODELS";
    let shown = Outcome::of(&mut seequel(folder.path(), &[&arguments[..], &[sql]].concat())).stdout();
    assert!(shown.starts_with("s\n3\n") && shown.contains("efficientnet_lite0"), "{shown}");
}

#[test]
fn a_failed_row_under_fail_names_the_file() {
    let (cluster, folder) = (Cluster::start(1), folder_of(3));
    std::fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    let sql = "SET inference.on_error = 'fail'; SELECT classify(image) FROM read_images('.')";
    let error = on(&cluster, folder.path(), sql).error_line();
    assert!(error.contains("broken.jpg"), "{error}");
    assert!(!error.contains("DataFusionError"), "{error}");
}

#[test]
fn a_killed_executor_costs_no_row_and_repeats_none() {
    let (mut cluster, folder) = (Cluster::start(2), folder_of(2000));
    let copy = "COPY (SELECT path, classify(image) AS p FROM read_images('.')) TO 'out/' STORED AS PARQUET";
    let (mut child, _watchdog) =
        start(&mut seequel(folder.path(), &["--cluster", &cluster.url, "-q", "-c", copy]), Stdio::null());
    thread::sleep(Duration::from_secs(3));
    cluster.kill_executor(0);
    assert!(child.try_wait().unwrap().is_none(), "it had ended before the kill");
    let ran: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let counts =
        "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(p['label']) AS labels FROM 'out/'";
    assert_eq!(alone(folder.path(), counts).stdout(), "n,paths,labels\n2000,2000,2000\n");
}

#[test]
fn processes_end_with_sigterm() {
    let mut cluster = Cluster::start(1);
    let folder = folder_of(4);
    on(&cluster, folder.path(), "SELECT sum(octet_length(name)) FROM read_images('.')").stdout();
    assert_eq!(cluster.stop_executor(0), Some(0), "{}", cluster.logs());
    assert_eq!(cluster.stop_scheduler(), Some(0), "{}", cluster.logs());
}
