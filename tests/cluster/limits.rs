//! `inference.max_errors` and `inference.max_error_ratio` count the failed rows of all tasks.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::processes::Cluster;
use super::resume::{assert_whole, copy, folder_with};
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel, start};

/// `photos` photos, and after each of the first `texts` a file that is none.
fn mixed_folder(photos: usize, texts: usize) -> TempDir {
    let folder = folder_of(photos);
    add_texts(folder.path(), texts);
    folder
}

fn add_texts(folder: &Path, texts: usize) {
    for number in 0..texts {
        fs::write(folder.join(format!("{number:04}.text.jpg")), "not a photo").unwrap();
    }
}

#[test]
fn failed_rows_of_all_tasks_are_counted() {
    let (cluster, folder) = (Cluster::start(2), mixed_folder(60, 60));
    let embed = "SELECT count(v) AS n FROM (SELECT embed(image) AS v FROM read_images('.'))";
    let queries = [
        (embed, "n\n60\n"),
        // Once, however many operators and functions see it; and in expressions alone.
        (
            "SELECT count(a) AS n FROM (SELECT embed(image) AS a, classify(image, 'efficientnet_lite2').label AS b
             FROM read_images('.')) WHERE b IS NULL OR b <> ''",
            "n\n60\n",
        ),
        (
            "SELECT count(embed(image, 'efficientnet_lite2')) AS n FROM read_images('.')
             WHERE classify(image)['label'] IS NULL",
            "n\n0\n",
        ),
        ("SELECT count(CASE WHEN size > 0 THEN embed(image) END) AS n FROM read_images('.')", "n\n60\n"),
        ("SELECT count(thumbnail(image, 20)) AS n FROM read_images('.')", "n\n60\n"),
        // In the branches of a union, one of which has one task.
        (
            "SELECT count(v) AS n FROM (SELECT * FROM (SELECT embed(image) AS v FROM read_images('.') ORDER BY name LIMIT 120)
             UNION ALL SELECT NULL)",
            "n\n60\n",
        ),
    ];
    for (query, expected) in queries {
        let limited = |most: usize| format!("SET inference.max_errors = {most}; {query}");
        let ran = on(&cluster, folder.path(), &limited(60));
        assert_eq!(ran.stdout, expected, "{query}: {}\n{}", ran.stderr, cluster.logs());
        assert_eq!(alone(folder.path(), &limited(60)).stdout, expected, "{query}");
        // No task has that many, so that only their sum can be it.
        let error = on(&cluster, folder.path(), &limited(59)).error_line();
        assert!(
            error.contains("60 failed row(s) are more than inference.max_errors (59); the last is "),
            "{error}"
        );
        assert!(error.contains("not an image"), "{error}");
        assert!(error.contains("SET inference.max_errors = 590 allows more"), "{error}");
    }
    // A task whose rows have all failed does not decide about the share of the query.
    let shared =
        |most: &str| on(&cluster, folder.path(), &format!("SET inference.max_error_ratio = {most}; {embed}"));
    assert_eq!(shared("0.5").stdout, "n\n60\n");
    let error = shared("0.4").error_line();
    assert!(
        error.contains("60 of 120 rows have failed, a larger share than inference.max_error_ratio (0.4)"),
        "{error}"
    );
    // One task alone may have more than all.
    let error = on(&cluster, folder.path(), &format!("SET inference.max_errors = 0; {embed}")).error_line();
    assert!(error.contains("are more than inference.max_errors (0); the last is /"), "{error}");
}

#[test]
fn nothing_is_left_of_a_copy_with_too_many_failed_rows() {
    let (cluster, folder) = (Cluster::start(2), mixed_folder(40, 40));
    let before = fs::read_dir(folder.path()).unwrap().count();
    for target in ["out.parquet", "out/"] {
        let sql = format!(
            "SET inference.max_errors = 39; COPY (SELECT name, embed(image) AS v FROM read_images('*.jpg')) TO '{target}' STORED AS PARQUET"
        );
        let error = on(&cluster, folder.path(), &sql).error_line();
        assert!(error.contains("40 failed row(s) are more than inference.max_errors (39)"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before, "{target}");
    }
}

#[test]
fn a_copy_with_resume_goes_on_when_more_rows_may_fail() {
    let (cluster, folder) = (Cluster::start(2), folder_with(40));
    add_texts(&folder.path().join("photos"), 40);
    let sql = |most: &str| format!("SET inference.max_errors = {most}; {}", copy());
    let error = on(&cluster, folder.path(), &sql("39")).error_line();
    assert!(error.contains("40 failed row(s) are more than inference.max_errors (39)"), "{error}");
    let ran = on(&cluster, folder.path(), &sql("'none'"));
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    assert_whole(folder.path(), &ran.stderr);
}

/// Tasks whose executor is lost are done again, and count once.
#[test]
fn repeated_tasks_do_not_count_twice() {
    let (mut cluster, folder) = (Cluster::start(2), mixed_folder(1000, 100));
    let sql = "SET inference.max_errors = 100; SELECT count(v) AS n FROM (SELECT embed(image) AS v FROM read_images('.'))";
    let arguments = ["--cluster", &cluster.url, "-q", "--format", "csv", "-c", sql];
    let (mut child, _watchdog) = start(&mut seequel(folder.path(), &arguments), Stdio::null());
    thread::sleep(Duration::from_secs(2));
    cluster.kill_executor(0);
    assert!(child.try_wait().unwrap().is_none(), "it had ended before the kill");
    let ran: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(ran.stdout, "n\n1000\n", "{}\n{}", ran.stderr, cluster.logs());
}

#[test]
fn a_query_with_limits_is_not_left_to_the_cluster() {
    let folder = folder_of(2);
    let sql = "SET inference.max_error_ratio = 0.5; SELECT classify(image) FROM read_images('.')";
    let arguments = ["--cluster", "df://localhost:1", "-q", "--detach", "-c", sql];
    let error = Outcome::of(&mut seequel(folder.path(), &arguments)).error_line();
    assert!(error.contains("--detach can't leave a query with inference.max_errors"), "{error}");
}
