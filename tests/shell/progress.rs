//! The progress of running queries.

use std::process::Command;

use super::terminal::{PROMPT, end, enter, leave, screen, spawn, spawn_command, start};
use crate::support::folder_of;
use crate::support::process::{run_in, seequel, system_shell};

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

/// The progress is drawn at least twice before Ctrl-C, and nothing of it remains: neither after the `^C` that terminals
/// echo, nor at the bottom of the screen, where another line would scroll it.
#[test]
fn ctrl_c_leaves_no_progress_on_the_screen() {
    let photos = folder_of(4000);
    let line = format!("stty echo cols 80 rows 50; yes '' | head -n 60; exec \"$0\" -c \"{COPY}\"");
    let mut session = spawn_command(system_shell(photos.path(), &line), true);
    let mut output = String::new();
    for _ in 0..2 {
        output += &session.exp_string(" inferred ").unwrap();
        output += " inferred ";
    }
    assert!(screen(&output).contains("inferred"), "{output}");
    session.send_control('c').unwrap();
    output += &session.exp_eof().unwrap();
    assert_eq!(screen(&output), "", "{output}");
}

/// `head` prints on the terminal that shows the progress, and ends the query.
#[test]
fn a_closed_pipe_leaves_no_progress_on_the_screen() {
    let photos = folder_of(4000);
    let query = "SELECT classify(image, 'efficientnet_lite2')['label'] AS label FROM read_images('.')";
    let line = format!("\"$0\" --format csv -b 32 -c \"{query}\" | head -n 3");
    let mut session = spawn_command(system_shell(photos.path(), &line), true);
    let output = session.exp_eof().unwrap();
    assert_eq!(screen(&output), "label\nlion\nlion", "{output}");
}

#[test]
fn quiet_shows_no_progress() {
    let photos = folder_of(3);
    let mut session = spawn(photos.path(), &["-q", "-c", COPY]);
    let shown = session.exp_eof().unwrap();
    assert!(shown.contains("| 3     |") && !shown.contains("inferred"), "{shown}");
}

#[test]
fn logs_have_colours_on_a_terminal_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.jpg"), "no image").unwrap();
    let warn = ["-q", "-c", "SELECT embed(image) IS NULL AS failed FROM read_images('.')"];
    let outcome = run_in(folder.path(), &warn);
    assert!(outcome.stderr.contains(" WARN ") && !outcome.stderr.contains('\u{1b}'), "{}", outcome.stderr);
    let colours = |command: Command| {
        let shown = spawn_command(command, true).exp_eof().unwrap();
        assert!(shown.contains("WARN"), "{shown}");
        shown.contains("\u{1b}[33m WARN")
    };
    assert!(colours(seequel(folder.path(), &warn)));
    let mut command = seequel(folder.path(), &warn);
    command.env("NO_COLOR", "1");
    assert!(!colours(command));
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
