//! Statements that can't be resumed, or are not the same.

use std::fs;

use super::{QUERY, copy, folder_with, run, running};
use crate::support::process::signal;
use crate::support::{home, photos};

#[test]
fn queries_with_other_rows_than_one_for_each_image_are_refused() {
    let folder = folder_with(2);
    let error = |query: &str| {
        let error = run(folder.path(), &copy(query)).error_line();
        assert!(!folder.path().join("out").exists());
        error
    };
    insta::assert_snapshot!(error("SELECT path FROM read_images('photos/') ORDER BY path"), @"Error: 'out/': resume needs a query whose rows come from one image each, of one table, so it can't have ORDER BY; COPY without it, and apply it to a table over the folder");
    for (query, reason) in [
        ("SELECT path FROM read_images('photos/') LIMIT 1", "LIMIT"),
        ("SELECT path, count(*) AS n FROM read_images('photos/') GROUP BY path", "GROUP BY"),
        ("SELECT DISTINCT path FROM read_images('photos/')", "DISTINCT"),
        ("SELECT path, row_number() OVER () AS n FROM read_images('photos/')", "window functions"),
        ("SELECT path, unnest([1, 2]) AS n FROM read_images('photos/')", "unnest"),
        (
            "SELECT path FROM read_images('photos/') UNION ALL SELECT path FROM read_images('photos/')",
            "UNION",
        ),
        ("SELECT a.path FROM read_images('photos/') a, read_images('photos/') b", "a join"),
        (
            "SELECT path FROM read_images('photos/') WHERE size = (SELECT max(size) FROM read_images('photos/'))",
            "a subquery",
        ),
        ("SELECT 1 AS path", "rows that come from no table"),
        ("SELECT path FROM information_schema.tables, (SELECT 1 AS path)", "a join"),
    ] {
        let error = error(query);
        assert!(error.contains(&format!("so it can't have {reason}")), "{query}: {error}");
    }
    insta::assert_snapshot!(error("SELECT name, upper(path) AS path FROM read_images('photos/')"), @"Error: 'out/': resume finds finished rows by the key path, so the query must give path of 'read_images()' unchanged; add it to SELECT");
    insta::assert_snapshot!(error("SELECT table_name AS path FROM information_schema.tables"), @"Error: 'out/': resume needs a table of image files, whose rows it can leave out before they are read; 'information_schema.tables' is another table");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let folder = folder_with(2);
    let error = |to: &str, options: &str| {
        let sql = format!("COPY (SELECT path FROM read_images('photos/')) TO {to} OPTIONS ({options})");
        run(folder.path(), &sql).error_line()
    };
    let parquet = "'out/' STORED AS PARQUET";
    insta::assert_snapshot!(error(parquet, "resume 'name'"), @"Error: 'out/': resume is 'path', or 'path, size, modified' so that files that change are done again, not 'name'");
    insta::assert_snapshot!(error(parquet, "resume 'path', mode 'overwrite'"), @"Error: 'out/': mode and resume exclude each other: resume adds the rows that are missing; to start over, remove the folder");
    insta::assert_snapshot!(error(parquet, "resume 'path', errors 'out/errors.parquet'"), @"Error: 'out/errors.parquet': the option errors names a file in the folder of the results, whose tables would read it; name one beside the folder");
    fs::write(folder.path().join("file"), "").unwrap();
    let unwritable = error(parquet, "resume 'path', errors 'file/errors.parquet'");
    assert!(unwritable.contains("'file/errors.parquet': "), "{unwritable}");
    insta::assert_snapshot!(error(parquet, "resume 'path', commit_rows 0"), @"Error: 'out/': commit_rows is a number of rows above 0, not '0'");
    insta::assert_snapshot!(error(parquet, "commit_rows 10"), @"Error: 'out/': commit_rows is for COPY with the option resume");
    insta::assert_snapshot!(error("'out/' STORED AS CSV", "resume 'path'"), @"Error: 'out/': resume writes Parquet; add STORED AS PARQUET");
    insta::assert_snapshot!(error("'r.parquet'", "resume 'path'"), @"Error: 'r.parquet': resume writes a folder of part files; name a folder, such as 'r/'");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_statement_that_has_changed_is_refused() {
    let folder = folder_with(3);
    let model = |name: &str, options: &str| {
        let file = home().join("models").join(name);
        format!("CREATE MODEL m FROM '{}' {options}", file.display())
    };
    let query = "SELECT path, classify(image, 'm')['label'] AS label FROM read_images('photos/')";
    let statement = |model: String, query: &str| format!("{model}; {}", copy(query));
    let original = model("efficientnet_lite0", "");
    run(folder.path(), &statement(original.clone(), query)).stdout();
    // Other words and resources.
    let elsewhere = model("efficientnet_lite0", "OPTIONS (batch_size 2, concurrency 1)");
    run(folder.path(), &statement(elsewhere, &query.replace("SELECT path,", "SELECT\n path,"))).stdout();

    let error = |sql: String| run(folder.path(), &sql).error_line();
    insta::assert_snapshot!(error(statement(original.clone(), &query.replace("'label'", "'class'"))), @"Error: 'out/': the query has changed from `SELECT path, classify(image, 'm')['label'] AS label FROM read_images('photos/')` to `SELECT path, classify(image, 'm')['class'] AS label FROM read_images('photos/')`; the rows there would not be those of this statement. To start over, remove the folder, or name another");
    insta::assert_snapshot!(error(statement(model("efficientnet_lite0", "OPTIONS (crop_fraction 1)"), query)), @"Error: 'out/': the model 'm' has changed: its crop_fraction was 0.875, and is 1; the rows there would not be those of this statement. To start over, remove the folder, or name another");
    insta::assert_snapshot!(error(statement(model("efficientnet_lite2", ""), query)), @"Error: 'out/': the model 'm' has changed: the SHA-256 of model.onnx was 2de8f4de19ff, and is 33002bcc0d50; the rows there would not be those of this statement. To start over, remove the folder, or name another");
    insta::assert_snapshot!(error(format!("SET inference.max_image_pixels = 5; {}", statement(original.clone(), query))), @"Error: 'out/': the setting inference.max_image_pixels has changed from 100000000 to 5 (SET inference.max_image_pixels = '100000000' continues); the rows there would not be those of this statement. To start over, remove the folder, or name another");
    let skip = format!("SET inference.on_error = 'skip'; {}", statement(original.clone(), query));
    insta::assert_snapshot!(error(skip), @"Error: 'out/': the setting inference.on_error has changed from null to skip (SET inference.on_error = 'null' continues); the rows there would not be those of this statement. To start over, remove the folder, or name another");
    let elsewhere = error(statement(original.clone(), &query.replace("photos/", "photos/*.jpg")));
    assert!(elsewhere.contains("the location of the images has changed from file:///"), "{elsewhere}");
    let partitioned = copy(query).replace("PARQUET", "PARQUET PARTITIONED BY (label)");
    insta::assert_snapshot!(error(format!("{original}; {partitioned}")), @"Error: 'out/': PARTITIONED BY has changed from none to 'label'; the rows there would not be those of this statement. To start over, remove the folder, or name another");
}

#[test]
fn a_second_process_is_refused() {
    let folder = folder_with(300);
    let (child, _watchdog) = running(folder.path(), &copy(QUERY));
    let error = run(folder.path(), &copy(QUERY)).error();
    let expected = format!("another process ({}) is writing to this folder", child.id());
    assert!(error.contains(&expected), "{error}");
    signal(child.id(), "KILL");
    child.wait_with_output().unwrap();
    super::finish(folder.path(), 300);
}

#[test]
fn files_of_others_and_missing_parts_are_refused() {
    let folder = folder_with(3);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("other.parquet"), "").unwrap();
    insta::assert_snapshot!(run(folder.path(), &copy(QUERY)).error_line(), @"Error: 'out/': the folder holds 1 file that no COPY with the option resume has written; name another folder");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    insta::assert_snapshot!(run(folder.path(), "SHOW RESUMABLE 'out/'").error_line(), @"Error: 'out/': no COPY with the option resume has written here");

    fs::remove_file(out.join("other.parquet")).unwrap();
    run(folder.path(), &copy(QUERY)).stdout();
    for entry in fs::read_dir(&out).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let error = run(folder.path(), &copy(QUERY)).error();
    assert!(error.contains("is in the log but not in the folder"), "{error}");
    fs::write(out.join("_seequel/00000002.json"), "{").unwrap();
    let error = run(folder.path(), &copy(QUERY)).error();
    assert!(error.contains("the log is damaged: _seequel/00000002.json"), "{error}");
    assert!(photos().join("lion.jpg").exists());
}
