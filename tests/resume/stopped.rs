//! SIGTERM, Ctrl-C and errors: what is finished is committed.

use std::fs;

use super::{QUERY, committed, copy, finish, folder_with, run, running, shown_rows};
use crate::support::photos;
use crate::support::process::{Outcome, signal};

#[test]
fn sigterm_and_ctrl_c_commit_and_say_so() {
    const PHOTOS: usize = 1500;
    let folder = folder_with(PHOTOS);
    // SIGTERM lets rows in flight end, of which there are hundreds.
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let before = committed(folder.path());
        let (child, _watchdog) = running(folder.path(), &copy(QUERY));
        while committed(folder.path()) == before {}
        signal(child.id(), name);
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        assert_eq!(outcome.status, Some(status), "{outcome:?}");
        let after = committed(folder.path());
        let expected = format!(
            "'out/': stopped with {after} rows committed, {} of them in this run; the same statement continues from there\n",
            after - before
        );
        assert_eq!(outcome.stderr, expected);
        assert!(before < after && after < PHOTOS, "{after} rows");
        let shown = run(folder.path(), "SHOW RESUMABLE 'out/'").stdout();
        assert!(shown.ends_with(",false\n"), "{shown}");
    }
    finish(folder.path(), PHOTOS);
    let shown = run(folder.path(), "SHOW RESUMABLE 'out/'").stdout();
    assert!(shown.ends_with(",true\n") && shown_rows(&shown) == PHOTOS, "{shown}");
}

#[test]
fn sigterm_ends_other_statements_too() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "COPY (SELECT repeat('x', 100000) AS x FROM generate_series(1, 100000000000)) TO 'r.csv'";
    let (child, _watchdog) = crate::support::process::start(
        &mut crate::support::process::seequel(folder.path(), &["-q", "-b", "8", "-c", sql]),
        std::process::Stdio::null(),
    );
    super::wait_for(&folder.path().join(format!(".seequel-copy-{}-0/0", child.id())));
    signal(child.id(), "TERM");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("seequel")), "{left:?}");
}

#[test]
fn rows_before_an_error_are_committed() {
    let folder = folder_with(200);
    let last = folder.path().join("photos/0199.jpg");
    fs::remove_file(&last).unwrap();
    fs::write(&last, "not an image").unwrap();
    let sql = format!("SET inference.on_error = 'fail'; {}", copy(QUERY));
    let error = run(folder.path(), &sql).error();
    assert!(error.contains("0199.jpg"), "{error}");
    let before = committed(folder.path());
    assert!(before > 0 && before < 200, "{before}");
    fs::remove_file(&last).unwrap();
    fs::hard_link(photos().join("lion.jpg"), &last).unwrap();
    finish(folder.path(), 200);
}
