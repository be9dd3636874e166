//! The prompt, on a terminal.

use std::fs;

use super::terminal::{CONTINUATION, PROMPT, enter, leave, spawn_on, start, type_in};
use crate::support::folder_of;

#[test]
fn statements_can_span_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    session.send_line("SELECT 6").unwrap();
    session.exp_string(CONTINUATION).unwrap();
    session.send_line("  * 7 AS").unwrap();
    session.exp_string(CONTINUATION).unwrap();
    session.send_line("answer;").unwrap();
    session.exp_string("| 42 ").unwrap();
    session.exp_string("1 row(s) in set").unwrap();
    session.exp_string(PROMPT).unwrap();
    leave(session);
    let history = fs::read_to_string(folder.path().join(".seequel_history")).unwrap();
    assert!(history.contains("SELECT 6\\n  * 7 AS\\nanswer;"), "{history}");
}

#[test]
fn ctrl_c_discards_a_statement_of_several_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["-q"]);
    session.send_line("SELECT 'it").unwrap();
    session.exp_string(CONTINUATION).unwrap();
    session.send_control('c').unwrap();
    session.exp_string(PROMPT).unwrap();
    let shown = enter(&mut session, "SELECT 6 * 7 AS answer;");
    assert!(shown.contains("| 42 "), "{shown}");
    leave(session);
}

#[test]
fn session_continues_after_an_error() {
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
fn tab_completes_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["-q"]);
    enter(&mut session, "CREATE TABLE numbers AS SELECT 42 AS answer;");
    // keyword, column, table: each prefix has a single completion
    session.send("SELE\t answ\t FROM numb\t").unwrap();
    session.send_line(";").unwrap();
    session.exp_string("| answer |").unwrap();
    session.exp_string("| 42     |").unwrap();
    session.exp_string(PROMPT).unwrap();
    session.send("SELECT classify(NULL, 'eff\t2')[").unwrap();
    session.send_line("'mod\t IS NULL AS nothing;").unwrap();
    session.exp_string("| true    |").unwrap();
    session.exp_string(PROMPT).unwrap();
    session.send_line("CREATE MODEL m FROM 'nowhere.onnx'").unwrap();
    session.exp_string(CONTINUATION).unwrap();
    let shown = enter(&mut session, "OPTIONS (num_g\t 'half');");
    assert!(shown.contains("OPTIONS (num_gpus 'half');") && shown.contains("there is no file"), "{shown}");
    type_in(&mut session, "\\m eff\t\t");
    session.exp_string("efficientnet_lite0  efficientnet_lite2").unwrap();
    // the entry is redrawn below the names
    session.exp_string(PROMPT).unwrap();
    session.send_control('c').unwrap();
    session.exp_string(PROMPT).unwrap();
    leave(session);
}

#[test]
fn hints_show_arguments_and_earlier_entries() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["-q"]);
    type_in(&mut session, "SELECT classify(");
    session.exp_string("classify(image [, model])").unwrap();
    session.send_control('c').unwrap();
    session.exp_string(PROMPT).unwrap();
    enter(&mut session, "SELECT 6 * 7;");
    type_in(&mut session, "SELECT 6");
    session.exp_string("SELECT 6 * 7;").unwrap();
    session.send_control('c').unwrap();
    session.exp_string(PROMPT).unwrap();
    leave(session);
}

#[test]
fn ctrl_c_clears_the_entry() {
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

#[test]
fn keywords_are_coloured_as_they_are_typed() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = spawn_on(folder.path(), &["-q"], true);
    session.exp_string("seequel> ").unwrap();
    type_in(&mut session, "SELECT 'lion'");
    session.exp_string("\u{1b}[1;34mSELECT\u{1b}[0m \u{1b}[32m'lion'").unwrap();
    type_in(&mut session, ";\r");
    session.exp_string("| lion").unwrap();
    leave(session);
}
