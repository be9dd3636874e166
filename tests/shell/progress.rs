//! The progress of running queries.

use super::terminal::{PROMPT, end, enter, leave, spawn, start};
use crate::support::folder_of;
use crate::support::process::run_in;

const COPY: &str = "COPY (SELECT path, classify(image, 'efficientnet_lite2') AS p FROM read_images('.')) TO 'results.parquet'";

#[test]
fn stages_are_redrawn_until_the_query_ends() {
    let photos = folder_of(100);
    let mut session = spawn(photos.path(), &["-c", COPY]);
    for _ in 0..2 {
        for stage in [
            "listed         100  done",
            " read ",
            " decoded ",
            " of 100 ",
            " inferred ",
            " left",
            " written ",
        ] {
            session.exp_string(stage).unwrap();
        }
    }
    session.exp_string("| 100   |").unwrap();
    session.exp_string("1 row(s) in set").unwrap();
    session.exp_string("; 100 image(s), ").unwrap();
    end(session);
}

#[test]
fn ctrl_c_clears_the_progress() {
    let photos = folder_of(4000);
    let mut session = start(photos.path(), &[]);
    session.send_line(&format!("{COPY};")).unwrap();
    session.exp_string(" inferred ").unwrap();
    session.send_control('c').unwrap();
    session.exp_string("Cancelled").unwrap();
    session.exp_string(PROMPT).unwrap();
    let shown = enter(&mut session, "SELECT 6 * 7;");
    assert!(shown.contains("| 42 ") && !shown.contains("inferred"), "{shown}");
    leave(session);
}

#[test]
fn no_progress_without_a_terminal_or_with_never() {
    let photos = folder_of(3);
    let output = run_in(photos.path(), &["-q", "--format", "csv", "-c", COPY]).stdout();
    assert_eq!(output, "count\n3\n");
    let mut session = spawn(photos.path(), &["--progress", "never", "-c", COPY]);
    let shown = session.exp_eof().unwrap();
    assert!(shown.contains("| 3     |") && !shown.contains("inferred"), "{shown}");
}

#[test]
fn progress_always_writes_lines_to_standard_error_only() {
    let photos = folder_of(3);
    let outcome = run_in(photos.path(), &["-q", "--format", "csv", "--progress", "always", "-c", COPY]);
    assert_eq!(outcome.stdout, "count\n3\n");
    insta::assert_snapshot!(outcome.stderr, @"listed 3 done; read 3 done; decoded 3 done; inferred 3 done; written 3 done");
}

#[test]
fn create_table_as_shows_progress() {
    let photos = folder_of(3);
    let sql = "CREATE TABLE t AS SELECT path, classify(image) AS p FROM read_images('.'); SELECT count(p) AS n FROM t;
               CREATE TABLE IF NOT EXISTS t AS SELECT classify(image) AS p FROM read_images('.')";
    let outcome = run_in(photos.path(), &["--format", "csv", "--progress", "always", "-c", sql]);
    insta::assert_snapshot!(outcome.stderr, @"listed 3 done; read 3 done; decoded 3 done; inferred 3 done");
    assert!(outcome.stdout.contains("n\n3\n"), "{}", outcome.stdout);
    assert_eq!(outcome.stdout.matches("; 3 image(s), ").count(), 1, "{}", outcome.stdout);
    let error = run_in(
        photos.path(),
        &["-q", "-c", "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE t AS SELECT 2 AS a"],
    )
    .error();
    assert!(error.contains("Table 't' already exists"), "{error}");
}
