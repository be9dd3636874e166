//! What is seen of a query on a cluster: its progress, its stages, its failed rows.

use std::fs;

use super::on;
use super::processes::Cluster;
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel};

#[test]
fn progress_counts_tasks_and_images() {
    let (cluster, folder) = (Cluster::start(2), folder_of(6));
    let sql = "SELECT path, classify(image)['label'] FROM read_images('.')";
    let arguments = ["--cluster", &cluster.url, "--progress", "always", "--format", "csv", "-c", sql];
    let ran = Outcome::of(&mut seequel(folder.path(), &arguments));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let last =
        ran.stderr.lines().rfind(|line| line.contains("tasks")).unwrap_or_else(|| panic!("{}", ran.stderr));
    let stages: Vec<_> = last.split("; ").collect();
    assert_eq!(stages[..3], ["read 6 done", "decoded 6 done", "inferred 6 done"], "{last}");
    assert!(stages[3].starts_with("tasks ") && stages[3].ends_with(" done"), "{last}");
}

#[test]
fn failed_rows_are_counted() {
    let (cluster, folder) = (Cluster::start(1), folder_of(3));
    fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    let sql = "SELECT path, classify(image)['label'] FROM read_images('.')";
    let arguments = ["--cluster", &cluster.url, "-c", sql];
    let ran = Outcome::of(&mut seequel(folder.path(), &arguments));
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        shown.contains("4 row(s) in set") && shown.contains("; 3 image(s)") && shown.contains("; 1 failed"),
        "{shown}"
    );
}

#[test]
fn explain_analyze_shows_the_stages_and_what_their_operators_did() {
    let (cluster, folder) = (Cluster::start(2), folder_of(6));
    let sql = "EXPLAIN ANALYZE SELECT classify(image)['label'] AS label, count(*) FROM read_images('.') GROUP BY label";
    let shown = on(&cluster, folder.path(), sql).stdout();
    let parts =
        ["ClusterExec: ", "Stage 3: tasks=1", "Stage 2: tasks=", "Stage 1: tasks=", "InferTaskExec: "];
    let positions = parts.map(|part| shown.find(part).unwrap_or_else(|| panic!("no {part} in {shown}")));
    assert!(positions.is_sorted(), "{shown}");
    let inference = shown.lines().find(|line| line.contains("InferTaskExec")).unwrap();
    assert!(inference.contains("decoded_images=6") && inference.contains("output_rows=6"), "{inference}");
}
