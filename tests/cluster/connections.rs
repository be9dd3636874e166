//! Executors ask their scheduler, and are told nothing by it: what they do when it is gone, or a query is.

use std::process::Stdio;

use super::processes::Cluster;
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{seequel, signal, start};

#[test]
fn executors_go_on_with_a_scheduler_that_was_started_again() {
    let (mut cluster, folder) = (Cluster::start(1), folder_of(4));
    let sql = "SELECT path, classify(image)['label'] FROM read_images('.') ORDER BY path";
    let expected = alone(folder.path(), sql).stdout();
    assert_eq!(on(&cluster, folder.path(), sql).stdout(), expected);
    cluster.restart_scheduler();
    let ran = on(&cluster, folder.path(), sql);
    assert_eq!(ran.stdout, expected, "{}\n{}", ran.stderr, cluster.logs());
}

#[test]
fn tasks_of_a_cancelled_query_end() {
    let mut cluster = Cluster::start_with(1, &[], &[("SEEQUEL_LOG", "warn,ballista_executor=info")]);
    let folder = folder_of(2000);
    // One task, which would take long.
    let sql = "SELECT path, classify(image) FROM read_images('.') ORDER BY size LIMIT 2000";
    let arguments = ["--cluster", &cluster.url, "-q", "-c", sql];
    let (child, _watchdog) = start(&mut seequel(folder.path(), &arguments), Stdio::null());
    cluster.wait_for_executor(0, "Received task");
    signal(child.id(), "INT");
    child.wait_with_output().unwrap();
    cluster.wait_for_executor(0, "the query has ended");
}
