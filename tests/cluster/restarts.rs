//! A scheduler that is killed while queries run, and started again at its address: it has forgotten them, and everyone
//! says so.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::jobs::{jobs, wait_for};
use super::processes::Cluster;
use super::resume::{assert_whole, committed, copy, folder_with, wait_for_rows};
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel, start};

/// Runs `sql`, and kills the scheduler once some of its tasks have ended; returns the error.
fn interrupted(cluster: &mut Cluster, folder: &Path, sql: &str) -> String {
    let (child, _watchdog) =
        start(&mut seequel(folder, &["--cluster", &cluster.url, "-q", "-c", sql]), Stdio::null());
    wait_for(cluster, folder, |job| job.text("state") == "running" && job.number("tasks_ended") > 0);
    cluster.restart_scheduler();
    let ran: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(ran.stdout, "", "{}", cluster.logs());
    let error = ran.error_line();
    assert!(error.contains(&format!("lost the scheduler at {} while the query ran", cluster.url)), "{error}");
    assert!(error.contains("run the statement again"), "{error}");
    assert!(jobs(cluster, folder).is_empty(), "{}", cluster.logs());
    error
}

#[test]
fn a_query_fails_and_runs_when_it_is_asked_again() {
    let (mut cluster, folder) = (Cluster::start(2), folder_of(1500));
    let sql = "SELECT name, classify(image)['label'] AS label FROM read_images('.')";
    interrupted(&mut cluster, folder.path(), sql);
    let few = format!("{sql} WHERE name LIKE '%7.jpg' ORDER BY name");
    let expected = alone(folder.path(), &few).stdout();
    assert!(expected.lines().count() > 100, "{expected}");
    let ran = on(&cluster, folder.path(), &few);
    assert_eq!(ran.stdout, expected, "{}\n{}", ran.stderr, cluster.logs());
}

#[test]
fn a_copy_leaves_nothing_and_runs_when_it_is_asked_again() {
    let (mut cluster, folder) = (Cluster::start(2), folder_of(1500));
    let copy =
        "COPY (SELECT path, classify(image) AS p FROM read_images('*.jpg')) TO 'out/' STORED AS PARQUET";
    interrupted(&mut cluster, folder.path(), copy);
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != ".cache").collect();
    assert_eq!(left.len(), 1500, "{left:?}");
    let ran = on(&cluster, folder.path(), copy);
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let counts = "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(p['label']) AS p FROM 'out/'";
    assert_eq!(alone(folder.path(), counts).stdout(), "n,paths,p\n1500,1500,1500\n");
}

#[test]
fn a_copy_with_resume_goes_on_where_it_was() {
    let (mut cluster, folder) = (Cluster::start(2), folder_with(1000));
    let (child, _watchdog) =
        start(&mut seequel(folder.path(), &["--cluster", &cluster.url, "-q", "-c", &copy()]), Stdio::null());
    wait_for_rows(folder.path(), 0, 100);
    cluster.restart_scheduler();
    let error = Outcome::from(child.wait_with_output().unwrap()).error_line();
    assert!(error.contains("lost the scheduler") && error.contains("run the statement again"), "{error}");
    assert!(jobs(&cluster, folder.path()).is_empty());
    let ran = on(&cluster, folder.path(), &copy());
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let runs = committed(folder.path());
    assert!(runs.len() == 2 && runs[0] >= 100 && runs[0] + runs[1] == 1000, "{runs:?}");
    assert_eq!(ran.stdout, format!("count\n{}\n", runs[1]));
    assert_whole(folder.path(), &runs);
}

#[test]
fn detached_jobs_are_unknown_afterwards() {
    let (mut cluster, folder) = (Cluster::start(1), folder_of(8));
    let sql = "SELECT name, classify(image)['label'] AS label FROM read_images('.')";
    let detach = ["--cluster", &cluster.url, "-q", "--detach", "-c", sql];
    let id = Outcome::of(&mut seequel(folder.path(), &detach)).stdout().trim().to_owned();
    wait_for(&cluster, folder.path(), |job| job.text("state") == "successful");
    cluster.restart_scheduler();
    for sql in [format!("ATTACH '{id}'"), format!("CANCEL JOB '{id}'")] {
        let error = on(&cluster, folder.path(), &sql).error_line();
        assert!(error.contains(&format!("knows no job '{id}'")), "{error}");
        assert!(error.contains("it may have been started again"), "{error}");
    }
    assert!(jobs(&cluster, folder.path()).is_empty());
}
