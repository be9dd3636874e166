//! Targets that exist, by mode.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::{count, entries, run};

#[test]
fn a_folder_that_holds_files_is_refused_unless_a_mode_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let copy =
        |mode: &str| run(folder.path(), &format!("COPY (SELECT 1 AS a) TO 'out/' STORED AS PARQUET {mode}"));
    let rows = || run(folder.path(), "SELECT count(*) AS n FROM 'out/*.parquet'").stdout();
    assert_eq!(copy("").stdout(), "count\n1\n");
    let written = entries(folder.path());
    insta::assert_snapshot!(copy("").error(), @"Error: 'out/': the folder holds 1 file; OPTIONS ('mode' 'overwrite') replaces its parquet files, 'append' adds to them, and 'error', the default, writes only to a folder without files");
    assert!(copy("OPTIONS ('mode' 'error')").error().contains("holds 1 file"));
    assert_eq!(entries(folder.path()), written);
    assert_eq!(rows(), "n\n1\n");

    assert_eq!(copy("OPTIONS ('mode' 'append')").stdout(), "count\n1\n");
    assert_eq!(rows(), "n\n2\n");
    assert!(copy("").error().contains("holds 2 files"));
    assert_eq!(copy("OPTIONS (mode 'Overwrite')").stdout(), "count\n1\n");
    assert_eq!(rows(), "n\n1\n");
    assert!(!entries(folder.path()).iter().any(|name| written.contains(name) && name.ends_with("parquet")));
    assert_eq!(entries(folder.path()).len(), 2, "{:?}", entries(folder.path()));
}

#[test]
fn overwrite_leaves_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::create_dir(out.join("archive")).unwrap();
    for name in ["notes.txt", "old.csv", "old.csv.gz", "old.parquet", ".hidden.csv", "archive/old.csv"] {
        fs::write(out.join(name), "a\n0\n").unwrap();
    }
    let copy = "COPY (SELECT 1 AS a) TO 'out' STORED AS CSV";
    assert!(run(folder.path(), copy).error().contains("the folder holds 4 files"));
    run(folder.path(), &format!("{copy} OPTIONS ('mode' 'overwrite')")).stdout();
    let mut left = entries(&out);
    left.retain(|name| name == "notes.txt" || name.contains("old") || name.contains("hidden"));
    assert_eq!(left, [".hidden.csv", "archive/old.csv", "notes.txt", "old.parquet"]);
    assert_eq!(count(&out, ".csv"), 3);
}

#[test]
fn a_file_is_replaced_unless_the_mode_forbids_it() {
    let folder = tempfile::tempdir().unwrap();
    let copy =
        |value: u8, mode: &str| run(folder.path(), &format!("COPY (SELECT {value} AS a) TO 'r.csv' {mode}"));
    let content = || fs::read_to_string(folder.path().join("r.csv")).unwrap();
    copy(1, "OPTIONS (mode 'error')").stdout();
    assert_eq!(content(), "a\n1\n");
    insta::assert_snapshot!(copy(2, "OPTIONS (mode 'error')").error(), @"Error: 'r.csv': the file exists; OPTIONS ('mode' 'overwrite') replaces it");
    insta::assert_snapshot!(copy(2, "OPTIONS (mode 'append')").error(), @"Error: 'r.csv': rows can't be appended to a file, only files to a folder; name a folder, such as 'r/'");
    insta::assert_snapshot!(copy(2, "OPTIONS (mode 'replace')").error(), @"Error: 'r.csv': mode is 'overwrite', 'append' or 'error', not 'replace'");
    assert_eq!(content(), "a\n1\n");
    copy(2, "").stdout();
    assert_eq!(content(), "a\n2\n");
    copy(3, "OPTIONS (mode 'overwrite')").stdout();
    assert_eq!((content().as_str(), entries(folder.path())), ("a\n3\n", vec!["r.csv".to_owned()]));
}

#[test]
fn a_replaced_file_keeps_its_permissions_and_links_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.csv");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("r.csv", folder.path().join("link.csv")).unwrap();
    run(folder.path(), "COPY (SELECT 1 AS a) TO 'link.csv'").stdout();
    assert_eq!(fs::read_to_string(&file).unwrap(), "a\n1\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(folder.path().join("link.csv").is_symlink());
}

#[test]
fn partitions_are_added_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |rows: &str, mode: &str| {
        let sql = format!("COPY (VALUES {rows}) TO 'out/' STORED AS CSV PARTITIONED BY (column2) {mode}");
        run(folder.path(), &sql)
    };
    let rows = "SELECT string_agg(concat(column1, column2), ' ' ORDER BY column1) AS r FROM t";
    let table = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'out/' PARTITIONED BY (column2)";
    let rows = || run(folder.path(), &format!("{table}; {rows}")).stdout();
    copy("(1, 'a'), (2, 'b')", "").stdout();
    assert_eq!(rows(), "r\n1a 2b\n");
    assert!(copy("(3, 'c')", "").error().contains("the folder holds 2 files"));
    copy("(3, 'a'), (4, 'c')", "OPTIONS (mode 'append')").stdout();
    assert_eq!(rows(), "r\n1a 2b 3a 4c\n");
    copy("(5, 'b')", "OPTIONS (mode 'overwrite')").stdout();
    assert_eq!(rows(), "r\n5b\n");
    let folders: Vec<_> =
        entries(&folder.path().join("out")).into_iter().filter(|name| !name.ends_with(".csv")).collect();
    assert_eq!(folders, ["column2=b"]);
}

/// The rows to read are those of the files to replace.
#[test]
fn a_folder_and_a_file_can_be_replaced_by_what_is_read_from_them() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "COPY (SELECT * FROM generate_series(1, 50000)) TO 'out/' STORED AS PARQUET").stdout();
    let sql = "COPY (SELECT value + 1 AS value FROM 'out/*.parquet') TO 'out/' STORED AS PARQUET OPTIONS (mode 'overwrite');
               COPY (SELECT value FROM 'out/*.parquet' LIMIT 3) TO 'r.csv';
               COPY (SELECT value FROM 'r.csv' UNION ALL SELECT value FROM 'r.csv') TO 'r.csv';
               SELECT count(*) AS n, min(value) AS low, max(value) AS high FROM 'out/*.parquet';
               SELECT count(*) AS n FROM 'r.csv'";
    let output = run(folder.path(), sql).stdout();
    assert_eq!(output, "count\n50000\ncount\n3\ncount\n6\nn,low,high\n50000,2,50001\nn\n6\n");
}

#[test]
fn a_file_is_not_taken_for_a_folder_and_a_folder_not_for_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("r.csv")).unwrap();
    fs::write(folder.path().join("out"), "precious").unwrap();
    let error = |to: &str| run(folder.path(), &format!("COPY (SELECT 1 AS a) TO {to}")).error();
    insta::assert_snapshot!(error("'r.csv'"), @"Error: 'r.csv': a folder of this name exists; end the name with '/' to write files into it");
    insta::assert_snapshot!(error("'out/' STORED AS CSV"), @"Error: 'out/': a file of this name exists, but a folder would be written; remove it, or choose another name");
    insta::assert_snapshot!(error("'out' STORED AS CSV"), @"Error: 'out': a file of this name exists, but a folder would be written; remove it, or choose another name");
    insta::assert_snapshot!(error("'r[1].csv'"), @"Error: 'r[1].csv': a target can't have the wildcards *, ? and [");
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe.csv")).status().unwrap().success());
    insta::assert_snapshot!(error("'pipe.csv'"), @"Error: 'pipe.csv': this is not a regular file");
    assert_eq!(entries(folder.path()), ["out", "pipe.csv", "r.csv"]);
    run(folder.path(), "COPY (SELECT 1 AS a) TO 'r.csv/' STORED AS CSV").stdout();
    assert_eq!(count(&folder.path().join("r.csv"), ".csv"), 1);
}

#[test]
fn explain_touches_nothing_and_explain_analyze_writes_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let copy = "COPY (SELECT 1 AS a) TO 'new/r.csv' OPTIONS (mode 'error')";
    let plan = run(folder.path(), &format!("EXPLAIN {copy}")).stdout();
    assert!(plan.contains("CsvSink"), "{plan}");
    assert_eq!(entries(folder.path()), [""; 0]);
    run(folder.path(), &format!("EXPLAIN ANALYZE {copy}")).stdout();
    assert_eq!(entries(folder.path()), ["new", "new/r.csv"]);
    let error = run(folder.path(), &format!("EXPLAIN ANALYZE {copy}")).error();
    assert!(error.contains("the file exists"), "{error}");
}

#[test]
fn tables_over_the_target_see_the_new_files() {
    let folder = tempfile::tempdir().unwrap();
    let copy = "COPY (SELECT 1 AS a) TO 'out/' STORED AS PARQUET";
    let sql = format!(
        "{copy}; CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'out/';
         SELECT count(*) AS n FROM t; {copy} OPTIONS (mode 'append');
         SELECT count(*) AS n FROM t; {copy} OPTIONS (mode 'overwrite'); SELECT count(*) AS n FROM t"
    );
    let output = run(folder.path(), &sql).stdout();
    assert_eq!(output, "count\n1\nn\n1\ncount\n1\nn\n2\ncount\n1\nn\n1\n");
}
