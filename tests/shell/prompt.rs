//! The prompt, on a terminal.

use std::fs;
use std::path::Path;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::support::process::seequel;
use crate::support::{folder_of, photos};

const PROMPT: &str = "seequel> ";
const PATIENCE_MS: u64 = 120_000;

/// A session whose prompt is waiting.
fn start(folder: &Path, arguments: &[&str]) -> PtySession {
    let mut command = seequel(folder, arguments);
    command.env("TERM", "xterm");
    let options = Options::new().timeout_ms(Some(PATIENCE_MS)).strip_ansi_escape_codes(true);
    let mut session = spawn_with_options(command, options).unwrap();
    session.exp_string(PROMPT).unwrap();
    session
}

/// Enters a line and returns what is shown before the next prompt. Only then can the next line be typed: the terminal
/// is not the prompt's while statements run.
fn enter(session: &mut PtySession, line: &str) -> String {
    session.send_line(line).unwrap();
    session.exp_string(PROMPT).unwrap()
}

/// Leaves, and expects that to go well.
fn leave(mut session: PtySession) {
    session.send_control('d').unwrap();
    session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(", 0)"), "{status}");
}

#[test]
fn statements_take_as_many_lines_as_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    session.send_line("SELECT 6").unwrap();
    session.send_line("  * 7 AS").unwrap();
    session.send_line("answer;").unwrap();
    session.exp_string("| 42 ").unwrap();
    session.exp_string("1 row(s) in set").unwrap();
    session.exp_string(PROMPT).unwrap();
    leave(session);
    let history = fs::read_to_string(folder.path().join(".seequel_history")).unwrap();
    assert!(history.contains("* 7 AS"), "{history}");
}

#[test]
fn errors_leave_the_session_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    enter(&mut session, "CREATE TABLE t AS SELECT 6 AS a;");
    let shown = enter(&mut session, "SELECT nope FROM t;");
    assert!(shown.contains("Error: No field named nope."), "{shown}");
    let shown = enter(&mut session, "SELECT a * 7 FROM t;");
    assert!(shown.contains("| 42 "), "{shown}");
    leave(session);
}

#[test]
fn commands_begin_with_a_backslash() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["-q"]);
    let describe = format!("\\d '{}/lion.jpg'", photos().display());
    for (command, expected) in [
        ("\\?", "Statements end with ;"),
        ("help", "\\m NAME    settings of a model"),
        ("\\m", "| efficientnet_lite0 |"),
        ("\\m efficientnet_lite2", "| 260x260 "),
        ("\\f classify", "| classify(image [, model]) | The most probable class of an image."),
        ("\\d", "| information_schema |"),
        (&describe, "| BinaryView "),
        ("\\x", "Error: there is no command \\x; \\? lists those there are"),
    ] {
        let shown = enter(&mut session, command);
        assert!(shown.contains(expected), "{command}: {shown}");
    }
    session.send_line("\\q").unwrap();
    session.exp_eof().unwrap();
}

#[test]
fn ctrl_c_clears_what_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    session.send("SELECT nonsense FROM").unwrap();
    session.send_control('c').unwrap();
    session.exp_string(PROMPT).unwrap();
    let shown = enter(&mut session, "SELECT 6 * 7;");
    assert!(shown.contains("| 42 ") && !shown.contains("Error"), "{shown}");
    leave(session);
}

#[test]
fn ctrl_c_cancels_the_query_and_keeps_the_session() {
    let photos = folder_of(4000);
    let mut session = start(photos.path(), &["--format", "csv", "-b", "8"]);
    enter(&mut session, "CREATE TABLE t AS SELECT 6 AS a;");
    let query = "SELECT upper(classify(image, 'efficientnet_lite2')['label']) FROM read_images('.');";
    session.send_line(query).unwrap();
    session.exp_string("LION").unwrap();
    session.send_control('c').unwrap();
    session.exp_string("Cancelled").unwrap();
    session.exp_string(PROMPT).unwrap();
    let shown = enter(&mut session, "SELECT a * 7 FROM t;");
    assert!(shown.contains("\n42"), "{shown}");
    leave(session);
}
