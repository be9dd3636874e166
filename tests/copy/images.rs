//! Files whose names come from the rows, so that new ones may have the names of old ones.

use std::fs;
use std::path::Path;

use super::{entries, run};
use crate::support::photos;
use crate::support::process::Outcome;
use crate::support::s3::S3;

fn copy(names: &str, target: &str, mode: &str) -> String {
    let lion = photos().join("lion.jpg");
    format!(
        "COPY (SELECT n AS name, image FROM '{}', (VALUES {names}) AS t(n)) TO '{target}' STORED AS IMAGES OPTIONS (mode '{mode}')",
        lion.display()
    )
}

/// A folder with `a.jpg`, `b.jpg` and a file of another format.
fn old_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    for name in ["a.jpg", "b.jpg", "notes.txt"] {
        fs::write(folder.path().join("out").join(name), format!("old {name}")).unwrap();
    }
    folder
}

fn is_old(folder: &Path, name: &str) -> bool {
    fs::read(folder.join("out").join(name)).unwrap() == format!("old {name}").as_bytes()
}

#[test]
fn overwrite_keeps_new_files_that_have_the_names_of_old_ones() {
    let folder = old_files();
    let copied = run(folder.path(), &copy("('a'), ('c')", "out/", "overwrite"));
    assert_eq!(copied.stdout(), "count\n2\n");
    assert_eq!(entries(&folder.path().join("out")), ["a.jpg", "c.jpg", "notes.txt"]);
    assert!(!is_old(folder.path(), "a.jpg"));
}

#[test]
fn append_replaces_no_file() {
    let folder = old_files();
    let error = run(folder.path(), &copy("('a'), ('c')", "out/", "append")).error();
    assert!(error.contains("out/a.jpg exists already; OPTIONS ('mode' 'overwrite') replaces it"), "{error}");
    assert_eq!(entries(&folder.path().join("out")), ["a.jpg", "b.jpg", "notes.txt"]);
    assert!(is_old(folder.path(), "a.jpg"));
    run(folder.path(), &copy("('c')", "out/", "append")).stdout();
    assert_eq!(entries(&folder.path().join("out")), ["a.jpg", "b.jpg", "c.jpg", "notes.txt"]);
}

/// A folder has the name of the last new file.
#[test]
fn files_that_were_replaced_return_if_another_cannot_be_moved() {
    let folder = old_files();
    fs::create_dir_all(folder.path().join("out/z.jpg/x")).unwrap();
    let before = entries(folder.path());
    let error = run(folder.path(), &copy("('a'), ('b'), ('c'), ('z')", "out/", "overwrite")).error();
    assert!(error.contains("z.jpg: Is a directory"), "{error}");
    assert_eq!(entries(folder.path()), before);
    assert!(["a.jpg", "b.jpg", "notes.txt"].into_iter().all(|name| is_old(folder.path(), name)));
}

#[test]
fn names_in_a_bucket_are_replaced_and_not_appended() {
    let folder = old_files();
    let server = S3::of(folder.path());
    let copy = |names: &str, mode: &str| -> Outcome { server.run(&copy(names, "s3://photos/out/", mode)) };
    let error = copy("('a'), ('c')", "append").error();
    assert!(error.contains("out/a.jpg exists"), "{error}");
    copy("('a'), ('c')", "overwrite").stdout();
    let sql = "SELECT string_agg(concat(name, ' ', width), ', ' ORDER BY name) AS f FROM read_images('s3://photos/out/')";
    assert_eq!(server.run(sql).stdout(), "f\n\"a.jpg 256, c.jpg 256\"\n");
}
