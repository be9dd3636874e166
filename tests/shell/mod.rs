//! The `seequel` command: arguments, standard output, standard error and exit status.

mod commands;
mod headers;
mod output;
mod progress;
mod prompt;
mod terminal;
mod width;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::process::{Outcome, run, run_in, seequel, signal, start};
use crate::support::{folder_of, home};

#[test]
fn commands_run_in_order_and_share_a_session() {
    let create = "CREATE TABLE t AS SELECT 1 AS a; CREATE VIEW doubled AS SELECT a * 2 AS b FROM t";
    let output = run(&["-q", "-c", create, "SELECT a FROM t", "--command", "SELECT b FROM doubled;"]);
    insta::assert_snapshot!(output.stdout(), @r"
    +---+
    | a |
    +---+
    | 1 |
    +---+
    +---+
    | b |
    +---+
    | 2 |
    +---+
    ");
}

#[test]
fn files_run_before_commands() {
    let folder = tempfile::tempdir().unwrap();
    let script = "#!/usr/bin/env -S seequel -f\n-- a comment; with a semicolon\nCREATE TABLE t AS SELECT 'it''s; one' AS a;";
    fs::write(folder.path().join("a.sql"), script).unwrap();
    fs::write(folder.path().join("b.sql"), "SELECT a FROM t").unwrap();
    let arguments = ["-q", "--format", "csv", "-c", "SELECT upper(a) FROM t", "-f", "a.sql", "b.sql"];
    assert_eq!(run_in(folder.path(), &arguments).stdout(), "a\nit's; one\nupper(a)\nIT'S; ONE\n");
}

#[test]
fn scripts_are_arguments() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.sql"), "CREATE TABLE t AS SELECT 1 AS a;").unwrap();
    fs::write(folder.path().join("b.sql"), "INSERT INTO t VALUES (2)").unwrap();
    fs::write(folder.path().join("c.sql"), "INSERT INTO t VALUES (3)").unwrap();
    let quiet = ["-q", "--format", "csv"];
    let arguments =
        [&quiet[..], &["a.sql", "b.sql", "-f", "c.sql", "-c", "SELECT sum(a) AS s FROM t"]].concat();
    assert!(run_in(folder.path(), &arguments).stdout().ends_with("s\n6\n"));
    let error = run_in(folder.path(), &["-c", "SELECT 1", "a.sql"]).error();
    insta::assert_snapshot!(error, @"Error: a.sql: a file, where -c takes SQL; write scripts before -c, or behind -f");
}

#[test]
fn paths_that_are_no_scripts_are_answered() {
    let error = |path: &str| run(&[path]).error();
    insta::assert_snapshot!(error("nowhere.sql"), @"Error: nowhere.sql: No such file or directory (os error 2)");
    insta::assert_snapshot!(error("SELECT 1"), @"Error: SELECT 1: there is no file of this name; -c runs SQL");
    insta::assert_snapshot!(error("photos/"), @r#"Error: photos/: a folder, not a file of SQL; try seequel -c "SELECT path, width, height FROM read_images('photos/')""#);
    insta::assert_snapshot!(error("photos/lion.jpg"), @r#"Error: photos/lion.jpg: an image, not a file of SQL; try seequel -c "SELECT path, classify(image) FROM 'photos/lion.jpg'""#);
    insta::assert_snapshot!(error("models/efficientnet_lite0/model.onnx"), @r#"Error: models/efficientnet_lite0/model.onnx: a model, not a file of SQL; try seequel -c "CREATE MODEL m FROM 'models/efficientnet_lite0/model.onnx'; DESCRIBE MODEL m""#);
    for path in ["photos/", "photos/lion.jpg"] {
        let advice = error(path);
        let (_, sql) = advice.split_once("seequel -c \"").unwrap();
        run(&["-q", "-c", sql.trim_end().trim_end_matches('"')]).stdout();
    }
}

#[test]
fn missing_file_is_an_error_before_anything_runs() {
    let outcome = run(&["-f", "nowhere.sql", "-c", "SELECT 1"]);
    assert_eq!(outcome.stdout, "");
    insta::assert_snapshot!(outcome.error(), @"Error: nowhere.sql: No such file or directory (os error 2)");
}

#[test]
fn standard_input_is_sql_without_commands_and_files() {
    let mut command = seequel(&home(), &["-q", "--format", "csv"]);
    let outcome = Outcome::with_input(&mut command, "SELECT 1 AS a;\n\nSELECT 2\n AS b");
    assert_eq!(outcome.stdout(), "a\n1\nb\n2\n");
}

#[test]
fn start_up_files_run_first() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, sql: &str| fs::write(folder.path().join(name), sql).unwrap();
    write("rc.sql", "CREATE TABLE t AS SELECT 'named' AS source");
    write(".seequelrc", "CREATE TABLE t AS SELECT 'usual' AS source");
    let quiet = ["-q", "--format", "csv"];
    let piped = |arguments: &[&str]| {
        let arguments = [&quiet, arguments].concat();
        Outcome::with_input(&mut seequel(folder.path(), &arguments), "SELECT source FROM t")
    };
    assert_eq!(piped(&["-r", "rc.sql"]).stdout(), "source\nnamed\n");
    assert_eq!(piped(&[]).stdout(), "source\nusual\n");

    let command = ["-c", "SELECT source FROM t"];
    let named = run_in(folder.path(), &[&quiet[..], &["--rc", "rc.sql"], &command].concat());
    assert_eq!(named.stdout(), "source\nnamed\n");
    let error = run_in(folder.path(), &[&quiet[..], &command].concat()).error();
    assert!(error.contains("'datafusion.public.t' not found"), "{error}");
}

#[test]
fn relative_paths_start_at_the_data_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("count.sql"), "SELECT count(*) AS photos FROM read_images('photos/')")
        .unwrap();
    let home = home();
    let home = home.to_str().unwrap();
    // the script is relative to the working directory, its photos to the data path
    let arguments = ["-q", "--format", "csv", "-p", home, "-f", "count.sql"];
    assert_eq!(run_in(folder.path(), &arguments).stdout(), "photos\n20\n");
    let error = run(&["-p", "no/where", "-c", "SELECT 1"]).error();
    assert!(error.starts_with("Error: no/where: No such file"), "{error}");
}

#[test]
fn relative_home_does_not_depend_on_the_data_path() {
    let mut command = seequel(
        &home(),
        &[
            "-q",
            "--format",
            "csv",
            "-p",
            "photos",
            "-c",
            "SELECT classify(image)['label'] AS l FROM 'lion.jpg'",
        ],
    );
    assert_eq!(Outcome::of(command.env("SEEQUEL_HOME", ".")).stdout(), "l\nlion\n");
}

#[test]
fn queries_obey_the_memory_limit() {
    let sort = "SELECT count(*) AS n FROM (SELECT DISTINCT value FROM generate_series(1, 200000))";
    let error = run(&["-m", "64k", "-c", sort]).error();
    assert!(error.contains("total memory pool: fair(pool_size: 64.0 KB)"), "{error}");
    let output = run(&["-m", "1g", "-q", "--format", "csv", "-c", sort]).stdout();
    assert_eq!(output, "n\n200000\n");
}

#[test]
fn first_error_ends_the_run() {
    let outcome = run(&["-q", "-c", "SELECT 'before' AS a; SELECT b; SELECT 'behind'", "SELECT 'later'"]);
    insta::assert_snapshot!(outcome.stdout, @r"
    +--------+
    | a      |
    +--------+
    | before |
    +--------+
    ");
    insta::assert_snapshot!(outcome.error(), @r"
    Error: No field named b.
     --> --command:1:30
      |
    1 | SELECT 'before' AS a; SELECT b; SELECT 'behind'
      |                              ^
    ");
}

#[test]
fn errors_point_into_the_script() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "CREATE TABLE photos AS SELECT 'a.jpg' AS path;\n\nSELECT path,\n       label\nFROM photos;\n";
    fs::write(folder.path().join("report.sql"), script).unwrap();
    let error = run_in(folder.path(), &["-q", "-f", "report.sql"]).error();
    insta::assert_snapshot!(error, @r"
    Error: No field named label.
    Valid fields are photos.path.
     --> report.sql:4:8
      |
    4 |        label
      |        ^
    ");
    let mut command = seequel(folder.path(), &[]);
    let error = Outcome::with_input(&mut command, "CREATE MODEL m FORM 'a.onnx'").error();
    insta::assert_snapshot!(error, @r"
    Error: Expected: FROM, found: FORM
     --> standard input:1:16
      |
    1 | CREATE MODEL m FORM 'a.onnx'
      |                ^
    ");
}

#[test]
fn invalid_arguments_exit_with_status_2() {
    for arguments in [&["--format", "xml"][..], &["-m", "much"], &["--no-such-option"]] {
        let outcome = run(arguments);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(2), ""));
        assert!(outcome.stderr.contains(arguments[0]), "{}", outcome.stderr);
    }
}

#[test]
fn examples_in_help_run() {
    let help = run(&["--help"]).stdout();
    assert!(help.contains("classify(image, 'resnet') FROM 'photos/*.jpg'"), "{help}");

    let first_look = "SELECT path, width, height FROM 'photos/*.jpg' LIMIT 5";
    assert!(help.contains(first_look), "{help}");
    let lines = run(&["-q", "--format", "nd-json", "-c", first_look]).stdout();
    assert_eq!(lines.matches(r#""width":"#).count(), 5, "{lines}");

    let pipe = "echo \"SELECT path FROM 'photos/*.jpg'\" | seequel --quiet --format nd-json | wc -l";
    assert!(help.contains(pipe), "{help}");
    let mut command = seequel(&home(), &["--quiet", "--format", "nd-json"]);
    let lines = Outcome::with_input(&mut command, "SELECT path FROM 'photos/*.jpg'\n").stdout();
    assert_eq!(lines.lines().count(), 8, "{lines}");
}

#[test]
fn version_is_the_packages() {
    assert_eq!(run(&["--version"]).stdout(), format!("seequel {}\n", env!("CARGO_PKG_VERSION")));
}

/// Runs the demo's script like `make demo`, but in a temporary folder.
#[test]
fn demo_classifies_the_photos() {
    let script = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/queries/03_classify.sql")).unwrap();
    let script = script.replace(".seequel/", &format!("{}/", home().display()));
    let folder = tempfile::tempdir().unwrap();
    let shown = Outcome::with_input(&mut seequel(folder.path(), &[]), &script).stdout();
    let row = |photo: &str| {
        let mut rows = shown.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        rows.find(|cells| cells.get(1) == Some(&photo)).map(|cells| cells[2].to_owned())
    };
    assert_eq!(row("coffee.png").as_deref(), Some("espresso"), "{shown}");
    assert_eq!(row("lion.jpg").as_deref(), Some("lion"), "{shown}");

    let read_back = "SELECT count(*) AS rows, count(prediction['label']) AS labels FROM 'results.parquet'";
    let counts = run_in(folder.path(), &["-q", "--format", "csv", "-c", read_back]);
    assert_eq!(counts.stdout(), "rows,labels\n20,20\n");
}

/// An endless run is terminated within the graph, in an operator, in a branch of CASE and in EXPLAIN ANALYZE.
#[test]
fn ctrl_c_ends_an_endless_model() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/endless.onnx");
    let create = format!("CREATE MODEL endless FROM '{model}'");
    let call = "classify(image, 'endless')['label']";
    let queries = [
        format!("SELECT {call}"),
        format!("SELECT CASE WHEN path IS NULL THEN 'none' ELSE {call} END"),
        format!("EXPLAIN ANALYZE FORMAT JSON SELECT {call}"),
    ];
    for query in queries {
        let sql = format!("SELECT 'begun' AS a; {query} FROM read_images('photos/lion.jpg')");
        let mut command = seequel(&home(), &["-q", "--format", "csv", "-c", &create, &sql]);
        let (mut child, _watchdog) = start(&mut command, Stdio::null());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.nth(1).unwrap().unwrap(), "begun");
        std::thread::sleep(Duration::from_millis(1500));
        assert!(child.try_wait().unwrap().is_none(), "the model should loop");
        let interrupted = Instant::now();
        signal(child.id(), "INT");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        // Well above the usual time, and well below the process's timeout for a run that does not end.
        assert!(interrupted.elapsed() < Duration::from_secs(3), "{query}: {:?}", interrupted.elapsed());
    }
}

#[test]
fn ctrl_c_ends_a_run_with_status_130() {
    let photos = folder_of(4000);
    let sql =
        "SELECT classify(image, 'efficientnet_lite2')['label'] AS label FROM read_images('.'); SELECT 'late'";
    let mut command = seequel(photos.path(), &["--format", "csv", "-b", "8", "-c", sql]);
    let (mut child, _watchdog) = start(&mut command, Stdio::null());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "label");
    assert_eq!(lines.next().unwrap().unwrap(), "lion");
    signal(child.id(), "INT");
    let rest = lines.map_while(Result::ok).collect::<Vec<_>>();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(130), ""));
    assert!(rest.len() < 4000 - 1, "{} more rows", rest.len());
    assert!(!rest.iter().any(|line| line == "late"));
}

#[test]
fn closed_standard_output_is_not_an_error() {
    let photos = folder_of(4000);
    for sql in [
        "SELECT value AS a FROM generate_series(1, 100000000)",
        "SELECT classify(image, 'efficientnet_lite2')['label'] AS a FROM read_images('.')",
    ] {
        let mut command = seequel(photos.path(), &["--format", "csv", "-b", "8", "-c", sql]);
        let (mut child, _watchdog) = start(&mut command, Stdio::null());
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "a\n");
        drop(reader);
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
    }
}
