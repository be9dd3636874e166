//! Tables on terminals of different widths.

use super::terminal::{decoded, end, spawn_command, spawn_sized};
use crate::support::process::{Outcome, run, seequel, system_shell};

const WIDE: &str = "SELECT 'photos/animals/cats/tabby.jpg' AS path, 640 AS width, 480 AS height, 'jpeg' AS format, 'a tabby cat on a red sofa, looking out of the window' AS caption, 0.875 AS confidence";

/// What is printed on a terminal of this many columns.
fn shown(columns: u16, variable: Option<&str>, sql: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut session =
        spawn_sized(folder.path(), &["-q", "--progress", "never", "-c", sql], columns, variable);
    let shown = decoded(&session.exp_eof().unwrap());
    end(session);
    shown
}

#[test]
fn tables_fit_the_terminal() {
    insta::assert_snapshot!(shown(40, None, WIDE), @r"
    +------------+-------+--------+--------+
    | path       | width | height | format |
    +------------+-------+--------+--------+
    | photos/an… | 640   | 480    | jpeg   |
    +------------+-------+--------+--------+
    … 2 more columns: caption, confidence; \x shows all
    ");
    insta::assert_snapshot!(shown(80, None, WIDE), @r"
    +-------------------+-------+--------+--------+-------------------+------------+
    | path              | width | height | format | caption           | confidence |
    +-------------------+-------+--------+--------+-------------------+------------+
    | photos/animals/c… | 640   | 480    | jpeg   | a tabby cat on a… | 0.875      |
    +-------------------+-------+--------+--------+-------------------+------------+
    ");
    assert_eq!(shown(200, None, WIDE), run(&["-q", "-c", WIDE]).stdout());
}

#[test]
fn tables_with_lines_fit_the_terminal() {
    insta::assert_snapshot!(shown(60, None, &format!("\\pset format box\n{WIDE}")), @r"
    ┌──────────┬───────┬────────┬────────┬──────────┬──────────┐
    │ path     │ width │ height │ format │ caption  │ confide… │
    ├──────────┼───────┼────────┼────────┼──────────┼──────────┤
    │ photos/… │   640 │    480 │ jpeg   │ a tabby… │    0.875 │
    └──────────┴───────┴────────┴────────┴──────────┴──────────┘
    ");
}

#[test]
fn columns_overrides_the_width_of_the_terminal_and_nothing_else() {
    assert_eq!(shown(200, Some("40"), WIDE), shown(40, None, WIDE));
    assert_eq!(shown(40, Some("wide"), WIDE), shown(40, None, WIDE));
    let piped =
        Outcome::of(seequel(&std::env::temp_dir(), &["-q", "--no-rc", "-c", WIDE]).env("COLUMNS", "40"));
    assert_eq!(piped.stdout(), shown(200, None, WIDE));
}

/// The progress of the query is on a terminal, its result is not.
#[test]
fn tables_in_pipes_keep_their_width() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("COLUMNS=40 \"$0\" -q --progress auto -c \"{WIDE}\" | cat");
    let mut session = spawn_command(system_shell(folder.path(), &line), false);
    let piped = decoded(&session.exp_eof().unwrap());
    end(session);
    assert_eq!(piped, shown(200, None, WIDE));
    let line = line.replace(" -q", "");
    let mut session = spawn_command(system_shell(folder.path(), &line), false);
    let piped = decoded(&session.exp_eof().unwrap());
    end(session);
    assert!(piped.contains("looking out of the window | 0.875"), "{piped}");
}

#[test]
fn characters_of_any_width_fit_the_terminal() {
    let sql = "SELECT repeat('写真', 20) AS \"写真\", repeat('e' || chr(769), 30) AS accents, 'x' AS x";
    insta::assert_snapshot!(shown(40, None, sql), @r"
    +-----------------+----------------+---+
    | 写真            | accents        | x |
    +-----------------+----------------+---+
    | 写真写真写真写… | ééééééééééééé… | x |
    +-----------------+----------------+---+
    ");
}

#[test]
fn plans_and_descriptions_are_continued_on_the_next_line() {
    let sql =
        "EXPLAIN SELECT 'a long text in a projection, followed by another one' AS first, 'the end' AS last";
    insta::assert_snapshot!(shown(60, None, sql), @r#"
    +---------------+------------------------------------------+
    | plan_type     | plan                                     |
    +---------------+------------------------------------------+
    | logical_plan  | Projection: Utf8("a long text in a       |
    |               | projection, followed by another one") AS |
    |               | first, Utf8("the end") AS last           |
    |               |   EmptyRelation: rows=1                  |
    | physical_plan | ProjectionExec: expr=[a long text in a   |
    |               | projection, followed by another one as   |
    |               | first, the end as last]                  |
    |               |   PlaceholderRowExec                     |
    |               |                                          |
    +---------------+------------------------------------------+
    "#);
}

#[test]
fn automatic_display_is_expanded_where_the_table_does_not_fit() {
    let sql = format!("\\x auto\n{WIDE}; SELECT 1 AS a");
    insta::assert_snapshot!(shown(80, None, &sql), @r"
    Expanded display is auto.
    -[ row 1 ]------------------------------
    path       | photos/animals/cats/tabby.jpg
    width      | 640
    height     | 480
    format     | jpeg
    caption    | a tabby cat on a red sofa, looking out of the window
    confidence | 0.875
    +---+
    | a |
    +---+
    | 1 |
    +---+
    ");
    let wide = shown(200, None, &sql);
    assert!(wide.contains("| path") && !wide.contains("-[ row 1 ]-"), "{wide}");
    let piped = run(&["-q", "-c", &sql]).stdout();
    assert_eq!(piped, wide);
}

#[test]
fn files_and_other_formats_keep_their_width() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!("\\o table.txt\n{WIDE};\n\\o\n\\pset format csv\n{WIDE}");
    let mut session = spawn_sized(folder.path(), &["-q", "-c", &sql], 40, None);
    let shown = decoded(&session.exp_eof().unwrap());
    end(session);
    assert!(shown.contains("looking out of the window\",0.875"), "{shown}");
    let table = std::fs::read_to_string(folder.path().join("table.txt")).unwrap();
    assert_eq!(table, run(&["-q", "-c", WIDE]).stdout());
}
