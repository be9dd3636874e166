//! Runs of models that fail: for want of a session that works, or after too long a time.

use std::path::Path;

use tempfile::TempDir;

use crate::support::process::{Outcome, run_in};
use crate::support::{Run, engine, folder_of};

fn create(name: &str, options: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models");
    format!("CREATE MODEL {name} FROM '{file}/{name}.onnx' OPTIONS ({options})")
}

fn csv(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

/// A session of the model answers 8 runs, and a new one 8 more.
#[tokio::test]
async fn a_session_that_fails_twice_in_a_row_is_replaced_and_no_row_is_lost() {
    let folder = folder_of(30);
    for (rows, sessions) in [(1, 1), (1, 2), (4, 1)] {
        let engine = engine().await;
        let options = format!("batch_size {rows}, concurrency {sessions}, num_cpus 1");
        engine.sql(&create("wearing", &options)).await.unwrap();
        let sql = format!(
            "SELECT predict('wearing', image)['means'] AS m FROM read_images('{}')",
            folder.path().display()
        );
        let run = Run::new(&engine, &sql).await;
        assert_eq!(run.rows(), 30);
        assert_eq!(run.metric("InferExec", "failed_rows"), 0, "{options}");
    }
}

#[test]
fn a_session_that_is_replaced_is_logged() {
    let folder = folder_of(10);
    let sql =
        "SELECT count(p['means']) AS n FROM (SELECT predict('wearing', image) AS p FROM read_images('.'))";
    let options = "batch_size 1, concurrency 1, num_cpus 1";
    let outcome = csv(folder.path(), &format!("{}; {sql}", create("wearing", options)));
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "n\n10\n"));
    let logged = "a session failed twice in a row; another is loaded in its place";
    assert!(
        outcome.stderr.contains(logged) && outcome.stderr.contains("model=\"wearing\""),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_model_whose_every_session_fails_ends_the_query() {
    let folder = folder_of(40);
    let query =
        "SELECT count(*) FROM (SELECT predict('broken', image) AS p FROM read_images('.')) WHERE p IS NULL";
    for options in ["concurrency 1", "concurrency 2, batch_size 4"] {
        let outcome = csv(folder.path(), &format!("{}; {query}", create("broken", options)));
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
        let error = outcome.error();
        assert!(
            error.contains(
                "Error: model 'broken': every session fails, newly loaded ones too, whatever the input is: \
                 Non-zero status code returned while running Gather node."
            ) && error.contains("indices element out of data bounds, idx=5"),
            "{error}"
        );
    }
    // A row that is at fault is not the session's fault, however many there are.
    let rows = "SELECT count(*) AS n FROM (SELECT predict('lookup', value) AS p FROM range(1000, 1100)) WHERE p IS NULL";
    let outcome = csv(folder.path(), &format!("{}; {rows}", create("lookup", "concurrency 1")));
    assert_eq!(outcome.stdout, "n\n100\n");
    assert!(!outcome.stderr.contains("another is loaded in its place"), "{}", outcome.stderr);
}

/// The model fails on every list of odd length, of zeros as well.
#[test]
fn rows_of_lengths_that_a_model_rejects_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lists = "(VALUES (1, [1.0, 2.0, 3.0]), (2, [5.0]), (3, [1.0, 2.0]), (4, [7.0, 8.0, 9.0]), (5, [1.0]), (6, [3.0, 4.0]))";
    let sql = format!(
        "{}; SELECT number, predict('halves', list)['sums'] IS NULL AS failed FROM {lists} AS t (number, list) ORDER BY number",
        create("halves", "concurrency 1")
    );
    let outcome = csv(folder.path(), &sql);
    let expected = "number,failed\n1,true\n2,true\n3,false\n4,true\n5,true\n6,false\n";
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), expected), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("another is loaded in its place"), "{}", outcome.stderr);
}

/// An image of 8 × 8 pixels of one grey, as an uncompressed BMP.
fn bmp(grey: u8) -> Vec<u8> {
    let mut bytes = b"BM\xf6\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x08\0\0\0\x08\0\0\0\x01\0\x18\0".to_vec();
    bytes.resize(54, 0);
    bytes.resize(54 + 8 * 8 * 3, grey);
    bytes
}

/// Eight images, two of them white, on which the model would run for ever.
fn white_among_others() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, grey) in [0, 50, 255, 100, 0, 50, 255, 0].into_iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number}.bmp")), bmp(grey)).unwrap();
    }
    folder
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_its_rows_fail_alone() {
    let folder = white_among_others();
    let sql = "SELECT name, m IS NULL AS failed, error FROM
               (SELECT name, predict('stuck', image)['means'] AS m, image_error(image) AS error FROM read_images('.'))
               ORDER BY name";
    for options in ["batch_size 1", "batch_size 8, concurrency 1, num_cpus 1"] {
        let create = create("stuck", options);
        let outcome = csv(folder.path(), &format!("SET inference.timeout = 0.2; {create}; {sql}"));
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        insta::allow_duplicates!(insta::assert_snapshot!(outcome.stdout, @r"
        name,failed,error
        0.bmp,false,
        1.bmp,false,
        2.bmp,true,the run took longer than inference.timeout (0.2 s)
        3.bmp,false,
        4.bmp,false,
        5.bmp,false,
        6.bmp,true,the run took longer than inference.timeout (0.2 s)
        7.bmp,false,
        "));
        assert!(outcome.stderr.contains("2.bmp: the run took longer"), "{}", outcome.stderr);
    }
    // Calls within expressions too.
    let branch = sql.replace(
        "predict('stuck', image)['means']",
        "CASE WHEN size > 0 THEN predict('stuck', image)['means'] END",
    );
    let branch = branch.replace(", error", "").replace(", image_error(image) AS error", "");
    let create = create("stuck", "batch_size 1");
    let outcome = csv(folder.path(), &format!("SET inference.timeout = 0.2; {create}; {branch}"));
    assert_eq!(outcome.stdout.matches("true").count(), 2, "{outcome:?}");
    let error = csv(
        folder.path(),
        &format!("SET inference.timeout = 0.2; SET inference.on_error = 'fail'; {create}; {sql}"),
    );
    let error = error.error();
    assert!(error.contains(".bmp: the run took longer than inference.timeout (0.2 s)"), "{error}");
}

#[tokio::test]
async fn runs_that_are_quick_enough_do_not_fail() {
    let folder = folder_of(20);
    let engine = engine().await;
    engine.sql("SET inference.timeout = 60").await.unwrap();
    let sql = format!("SELECT classify(image)['label'] FROM read_images('{}')", folder.path().display());
    let run = Run::new(&engine, &sql).await;
    assert_eq!((run.rows(), run.metric("InferExec", "failed_rows")), (20, 0));
}

#[test]
fn the_time_limit_is_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    let error = |sql: &str| csv(folder.path(), sql).error_line();
    insta::assert_snapshot!(error("SET inference.timeout = 'soon'"), @"Error: inference.timeout is a number of seconds or 'none', not 'soon'");
    insta::assert_snapshot!(error("SET inference.timeout = -1"), @"Error: inference.timeout is a number of seconds or 'none', not '-1'");
    for (value, shown) in [("0.25", "0.25"), ("30", "30"), ("0", "none"), ("none", "none")] {
        let sql = format!("SET inference.timeout = '{value}'; SHOW inference.timeout");
        assert_eq!(csv(folder.path(), &sql).stdout(), format!("name,value\ninference.timeout,{shown}\n"));
    }
    let sql = "SELECT description FROM information_schema.df_settings WHERE name = 'inference.timeout'";
    assert_eq!(
        csv(folder.path(), sql).stdout(),
        "description\n\"Seconds that a model may run on a batch: a longer run is ended, and the rows at fault fail\"\n"
    );
}
