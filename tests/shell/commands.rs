//! Commands that start with a backslash, at the prompt and in files.

use std::fs;

use super::terminal::{end, enter, leave, start};
use crate::support::photos;
use crate::support::process::{Outcome, run, run_in, seequel};

#[test]
fn commands_list_tables_models_and_functions() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["-q"]);
    let describe = format!("\\d '{}/lion.jpg'", photos().display());
    for (command, expected) in [
        ("\\?", "Statements end with ;"),
        ("help", "\\m NAME    settings of a model"),
        ("\\m", "| efficientnet_lite0 |"),
        ("\\m efficientnet_lite2", "| 260x260 "),
        ("\\f classify", "| classify(image [, model]) | The most probable class of an image."),
        ("\\f", "| hamming_distance(a, b) "),
        ("\\d", "There are no tables. CREATE EXTERNAL TABLE"),
        ("\\d *", "| information_schema | "),
        (&describe, "| BinaryView "),
        ("\\y", "Error: there is no command \\y; \\? lists those there are"),
        ("\\pset", "maxrows   40"),
    ] {
        let shown = enter(&mut session, command);
        assert!(shown.contains(expected), "{command}: {shown}");
    }
    session.send_line("\\q").unwrap();
    end(session);
}

/// The first column of a table in `text`.
fn first_column(text: &str) -> Vec<&str> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells.map(str::trim).collect()
}

#[test]
fn seequels_functions_are_listed_before_the_others() {
    let list = |command: &str| run(&["-q", "-c", command]).stdout();
    let own = list("\\f");
    insta::assert_snapshot!(first_column(&own).join("\n"), @r"
    function
    classify(image [, model])
    classify_top_k(image, k [, model])
    convert(image, format [, quality])
    cosine_similarity(a, b)
    crop(image, box)
    detect(image [, model])
    draw_boxes(image, boxes [, labels])
    embed(image [, model])
    hamming_distance(a, b)
    image_error(image [, model])
    image_info(image)
    inner_product(a, b)
    l2_distance(a, b)
    phash(image)
    predict(model, input, …)
    read_images(location)
    resize(image, width, height)
    thumbnail(image, max_side)
    tuning_trials([model])
    ");
    assert!(own.contains("| The images of a folder, file or pattern as a table, a row each"), "{own}");
    let all = list("\\f *");
    let (own, all) = (first_column(&own), first_column(&all));
    assert_eq!(all[..own.len()], own);
    assert_eq!(all[own.len()], "abs(numeric_expression)");
    assert!(all.contains(&"row_number()") && all.contains(&"sum(expression)"), "{all:?}");
    assert_eq!(first_column(&list("\\f l2%")), ["function", "l2_distance(a, b)"]);
    assert_eq!(first_column(&list("\\f read_images")), ["function", "read_images(location)"]);
}

#[test]
fn tables_of_the_user_are_listed() {
    let list = |command: &str| {
        let create = "CREATE TABLE photos AS SELECT 1 AS a; CREATE VIEW best AS SELECT a FROM photos";
        run(&["-q", "-c", create, command]).stdout()
    };
    insta::assert_snapshot!(list("\\d"), @r"
    +--------+--------+------------+
    | schema | name   | type       |
    +--------+--------+------------+
    | public | best   | VIEW       |
    | public | photos | BASE TABLE |
    +--------+--------+------------+
    ");
    assert_eq!(list(".tables"), list("\\d"));
    insta::assert_snapshot!(list("\\dt ph*"), @r"
    +--------+--------+------------+
    | schema | name   | type       |
    +--------+--------+------------+
    | public | photos | BASE TABLE |
    +--------+--------+------------+
    ");
    for command in ["\\d *", "\\dS"] {
        let all = list(command);
        assert!(all.contains("| df_settings ") && all.contains("| photos "), "{all}");
    }
}

#[test]
fn commands_of_other_shells_work() {
    let folder = tempfile::tempdir().unwrap();
    let script = "
.mode csv
.timer off
.headers on
CREATE TABLE t AS SELECT 1 AS a;
.schema t
.output other.csv
SELECT a FROM t;
.output
.read b.sql
.quit
SELECT 'behind';";
    fs::write(folder.path().join("a.sql"), script).unwrap();
    fs::write(folder.path().join("b.sql"), "SELECT 2 AS b").unwrap();
    let outcome = run_in(folder.path(), &["a.sql"]);
    assert_eq!(outcome.stdout(), "Timing is off.\ncolumn_name,data_type,is_nullable\na,Int64,NO\nb\n2\n");
    assert_eq!(fs::read_to_string(folder.path().join("other.csv")).unwrap(), "a\n1\n");

    let mut session = start(folder.path(), &["-q"]);
    for (command, expected) in [
        (".help", "Statements end with ;"),
        (".maxrows 3", ""),
        (".show", "maxrows   3"),
        ("\\df classify", "| classify(image [, model]) |"),
        ("\\c sales", "Error: \\c: there is one catalog, datafusion; files are read by name"),
        (".tabels", "Error: there is no command .tabels; did you mean .tables?"),
    ] {
        let shown = enter(&mut session, command);
        assert!(shown.contains(expected), "{command}: {shown}");
    }
    session.send_line(".exit").unwrap();
    end(session);
}

#[test]
fn tables_are_described_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["-q"]);
    enter(&mut session, "CREATE TABLE sizes AS SELECT 640 AS pixels;");
    let shown = enter(&mut session, "\\d sizes");
    assert!(shown.contains("| pixels      | Int64 "), "{shown}");
    leave(session);
}

#[test]
fn display_and_timing_can_be_switched() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    let shown = enter(&mut session, "\\x");
    assert!(shown.contains("Expanded display is on."), "{shown}");
    let shown = enter(&mut session, "SELECT 1 AS a, named_struct('b', 2) AS s;");
    assert!(shown.contains("-[ row 1 ]-") && shown.contains("\ns.b | 2"), "{shown}");
    assert!(shown.contains("1 row(s) in set"), "{shown}");
    enter(&mut session, "\\x off");
    let shown = enter(&mut session, "\\timing");
    assert!(shown.contains("Timing is off."), "{shown}");
    let shown = enter(&mut session, "SELECT 3 AS a;");
    assert!(shown.contains("| 3 |") && !shown.contains("row(s)"), "{shown}");
    enter(&mut session, "\\pset format csv");
    let shown = enter(&mut session, "SELECT 4 AS a;");
    assert!(shown.contains("a\r\n4"), "{shown}");
    leave(session);
}

#[test]
fn settings_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let list = |commands: &str| run_in(folder.path(), &["-q", "-c", &format!("{commands}\n\\pset")]).stdout();
    insta::assert_snapshot!(list(""), @r"
    format    automatic
    maxrows   40
    null      ''
    expanded  off
    timing    off
    output    standard output
    ");
    let changed = "\\pset format box\n\\pset maxrows 7\n\\pset null -\n\\pset expanded auto\n\\pset timing on\n\\o a.json";
    insta::assert_snapshot!(list(changed), @r"
    Expanded display is auto.
    Timing is on.
    format    box
    maxrows   7
    null      '-'
    expanded  auto
    timing    on
    output    a.json, as json
    ");
}

#[test]
fn expanded_display_goes_on_off_and_automatic() {
    let folder = tempfile::tempdir().unwrap();
    let switch = |commands: &str| run_in(folder.path(), &["-q", "-c", commands]).stdout();
    insta::assert_snapshot!(switch("\\x\n\\x\n\\x auto\n\\x\n\\x on"), @r"
    Expanded display is on.
    Expanded display is off.
    Expanded display is auto.
    Expanded display is off.
    Expanded display is on.
    ");
}

#[test]
fn results_go_to_a_file_until_the_output_is_reset() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &["--format", "csv"]);
    enter(&mut session, "\\o results.csv");
    let shown = enter(&mut session, "SELECT 1 AS a; SELECT 2 AS b;");
    assert!(shown.contains("1 row(s) in set") && !shown.contains("\na\r"), "{shown}");
    enter(&mut session, "\\o");
    let shown = enter(&mut session, "SELECT 3 AS c;");
    assert!(shown.contains("c\r\n3"), "{shown}");
    leave(session);
    assert_eq!(fs::read_to_string(folder.path().join("results.csv")).unwrap(), "a\n1\nb\n2\n");
}

#[test]
fn files_can_be_run_at_the_prompt() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("set up.sql"), "CREATE TABLE t AS SELECT 42 AS a;\n\\q\nSELECT nope;")
        .unwrap();
    let mut session = start(folder.path(), &["-q"]);
    enter(&mut session, "\\i 'set up.sql'");
    let shown = enter(&mut session, "SELECT a FROM t;");
    assert!(shown.contains("| 42 |"), "{shown}");
    let shown = enter(&mut session, "\\i nowhere.sql");
    assert!(shown.contains("Error: nowhere.sql: No such file"), "{shown}");
    leave(session);
}

#[test]
fn commands_in_files_work_and_their_errors_have_positions() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.sql", "SELECT 1 AS a;\n\\pset format csv\n\\i b.sql\nSELECT 3 AS c;\n  \\y\n");
    write("b.sql", "SELECT 2 AS b");
    let outcome = run_in(folder.path(), &["-q", "--format", "nd-json", "-f", "a.sql"]);
    assert_eq!(outcome.stdout, "{\"a\":1}\nb\n2\nc\n3\n");
    insta::assert_snapshot!(outcome.error(), @r"
    Error: there is no command \y; \? lists those there are
     --> a.sql:5:3
      |
    5 |   \y
      |   ^
    ");
    write("c.sql", "\\i c.sql");
    let error = run_in(folder.path(), &["-f", "c.sql"]).error();
    assert!(error.contains("16 files are nested"), "{error}");
}

#[test]
fn start_up_file_configures_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(".seequelrc"),
        "\\pset format csv\n\\timing off\nCREATE TABLE t AS SELECT 7 AS a;",
    )
    .unwrap();
    let mut session = start(folder.path(), &[]);
    let shown = enter(&mut session, "SELECT a FROM t;");
    assert!(shown.contains("a\r\n7") && !shown.contains("row(s)"), "{shown}");
    leave(session);
    let mut command = seequel(folder.path(), &["-q", "--no-rc"]);
    let error = Outcome::with_input(&mut command, "SELECT a FROM t").error();
    assert!(error.contains("'datafusion.public.t' not found"), "{error}");
}

/// `▀` with each byte as a character, as the terminal's output is read.
const HALF_BLOCK: &str = "\u{e2}\u{96}\u{80}";

#[test]
fn images_are_drawn_in_colours() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    let shown = enter(&mut session, &format!("\\show {}/lion.jpg", photos().display()));
    assert!(shown.contains(&HALF_BLOCK.repeat(8)), "{shown}");
    assert!(shown.contains("lion.jpg <jpeg 256"), "{shown}");
    let shown = enter(&mut session, "\\show nowhere.jpg");
    assert!(shown.contains("nowhere.jpg': there is no such file or folder"), "{shown}");
    leave(session);
}
