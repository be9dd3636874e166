//! Statements that run again after their end.

use std::fs;
use std::path::Path;

use super::{QUERY, copy, folder_with, number, run};
use crate::support::photos;

fn rows(folder: &Path) -> usize {
    number(run(folder, "SELECT count(*) AS n FROM 'out/*.parquet'"))
}

#[test]
fn new_files_are_added_and_the_rest_is_not_opened() {
    let folder = folder_with(20);
    assert_eq!(number(run(folder.path(), &copy(QUERY))), 20);
    assert_eq!(number(run(folder.path(), &copy(QUERY))), 0);
    fs::hard_link(photos().join("lion.jpg"), folder.path().join("photos/new.jpg")).unwrap();
    let analyzed = run(folder.path(), &format!("EXPLAIN ANALYZE {}", copy(QUERY))).stdout();
    super::assert_metric(&analyzed, "finished_files", 20);
    super::assert_metric(&analyzed, "opened_files", 1);
    assert_eq!(rows(folder.path()), 21);
}

#[test]
fn a_key_with_size_and_time_does_changed_files_again() {
    let folder = folder_with(5);
    let copy = |key: &str| {
        format!(
            "COPY (SELECT modified, path AS file, size, classify(image)['label'] AS label FROM read_images('photos/'))
             TO 'out/' STORED AS PARQUET OPTIONS (resume '{key}')"
        )
    };
    assert_eq!(number(run(folder.path(), &copy("path, size, modified"))), 5);
    let changed = folder.path().join("photos/0000.jpg");
    fs::remove_file(&changed).unwrap();
    fs::copy(photos().join("tower.jpg"), &changed).unwrap();
    assert_eq!(number(run(folder.path(), &copy("path, size, modified"))), 1);
    let sql = "SELECT count(DISTINCT file) AS n FROM 'out/*.parquet'";
    assert_eq!((rows(folder.path()), number(run(folder.path(), sql))), (6, 5));
    let error = run(folder.path(), &copy("path")).error();
    assert!(error.contains("the option resume has changed from 'path, size, modified' to 'path'"), "{error}");
}

#[test]
fn explain_and_advise_leave_the_folder_alone() {
    let folder = folder_with(5);
    let plan = run(folder.path(), &format!("EXPLAIN {}", copy(QUERY))).stdout();
    assert!(plan.contains("resume=[path]"), "{plan}");
    run(folder.path(), &format!("ADVISE {}", copy(QUERY))).stdout();
    assert!(!folder.path().join("out").exists());
}

/// They are what a process leaves that is killed before it has logged a part.
#[test]
fn parts_that_are_not_in_the_log_are_removed() {
    let folder = folder_with(20);
    run(folder.path(), &copy(QUERY)).stdout();
    let out = folder.path().join("out");
    let part = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let part = part.into_iter().find(|path| path.extension().is_some()).unwrap();
    let name = part.file_name().unwrap().to_str().unwrap();
    fs::copy(&part, out.join(format!("{}-unlogged.parquet", &name[..13]))).unwrap();
    // Of another program.
    fs::copy(&part, out.join("part-00000000-other.parquet")).unwrap();
    fs::create_dir(out.join(".seequel-copy-1-0")).unwrap();
    assert_eq!(number(run(folder.path(), &copy(QUERY))), 0);
    assert!(!out.join(format!("{}-unlogged.parquet", &name[..13])).exists());
    assert!(out.join("part-00000000-other.parquet").exists() && out.join(".seequel-copy-1-0").exists());
}
