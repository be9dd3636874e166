//! Fields that a struct does not have.

use crate::support::process::run;

fn error(sql: &str) -> String {
    run(&["-q", "-c", sql]).error()
}

#[test]
fn an_unknown_field_is_marked_and_the_others_are_listed() {
    insta::assert_snapshot!(error("SELECT name, classify(image).score FROM 'photos/*.jpg'"), @r"
    Error: Field score not found in struct; its fields are label, class, confidence, model, error
     --> --command:1:30
      |
    1 | SELECT name, classify(image).score FROM 'photos/*.jpg'
      |                              ^
    ");
    insta::assert_snapshot!(error("SELECT classify(image)['score'] FROM 'photos/*.jpg'"), @r"
    Error: Field score not found in struct; its fields are label, class, confidence, model, error
     --> --command:1:24
      |
    1 | SELECT classify(image)['score'] FROM 'photos/*.jpg'
      |                        ^
    ");
}

#[test]
fn unknown_fields_are_found_in_every_clause() {
    let with = "WITH t AS (SELECT named_struct('a', 1) AS p, named_struct('z', 1) AS q)";
    for (rest, column) in [
        ("SELECT q.z, p.z FROM t", 15),
        ("SELECT t.p.z FROM t", 12),
        ("SELECT q.z FROM t WHERE p.z > 1", 27),
        ("SELECT q.z FROM t ORDER BY p.z", 30),
        ("SELECT q.z FROM t GROUP BY q.z, p.z", 35),
        ("SELECT q.z FROM t WHERE q.z IN (SELECT p.z)", 42),
    ] {
        let error = error(&format!("{with} {rest}"));
        assert!(
            error.starts_with("Error: Field z not found in struct; its fields are a\n"),
            "{rest}: {error}"
        );
        let at = format!("--command:1:{}\n", with.len() + 1 + column);
        assert!(error.contains(&at), "{rest}: {error}");
    }
}

#[test]
fn other_errors_are_those_of_the_statement_as_it_was_written() {
    let with = "WITH t AS (SELECT named_struct('a', 1) AS p)";
    for (rest, expected) in [
        ("SELECT x.a FROM t", "No field named x.a"),
        ("SELECT p.a, y FROM t", "No field named y"),
        ("SELECT u.* FROM t", "Invalid qualifier u"),
        ("SELECT t.*, u.*, p.* FROM t", "Invalid qualifier u"),
    ] {
        let error = error(&format!("{with} {rest}"));
        assert!(error.contains(expected), "{rest}: {error}");
    }
}
