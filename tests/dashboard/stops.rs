//! Cancelling a COPY that can be continued.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Shell;
use crate::support::process::run_in;
use crate::support::{folder_of, home_with_model};

#[test]
fn a_resumable_copy_commits_what_is_finished() {
    const PHOTOS: usize = 3000;
    let (home, photos) = (home_with_model(), folder_of(PHOTOS));
    let sql = format!(
        "COPY (SELECT path, classify(image)['label'] AS label FROM read_images('{}')) TO 'out/' STORED AS PARQUET
         OPTIONS (resume 'path', commit_rows 10)",
        photos.path().display()
    );
    let mut shell = Shell::open(home.path(), "127.0.0.1:0", &["--dashboard-actions", "-c", &sql]);
    let began = Instant::now();
    while !home.path().join("out/_seequel/00000002.json").exists() {
        assert!(began.elapsed() < Duration::from_secs(90), "nothing is committed");
        thread::sleep(Duration::from_millis(10));
    }
    let id = shell.client.query("running");
    assert_eq!(shell.client.post(&format!("/api/v1/queries/{id}/cancel")).status, 202);
    let mut message = String::new();
    shell.stderr.read_to_string(&mut message).unwrap();
    assert_eq!(shell.child.wait().unwrap().code(), Some(1));
    let rows = message.split_once("stopped with ").unwrap().1.split_once(" rows committed").unwrap().0;
    let rows: usize = rows.parse().unwrap();
    assert!((10..PHOTOS).contains(&rows), "{message}");
    let history = std::fs::read_to_string(home.path().join("dashboard/queries.jsonl")).unwrap();
    assert!(history.contains("\"state\":\"cancelled\",\"error\":\"'out/': stopped with"), "{history}");

    let count = |location: &str| {
        let counted = run_in(
            home.path(),
            &["-q", "--format", "csv", "-c", &format!("SELECT count(*) AS n FROM '{location}'")],
        );
        counted.stdout().lines().nth(1).unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(count("out/"), rows);
    assert_eq!(run_in(home.path(), &["-q", "-c", &sql]).status, Some(0));
    assert_eq!(count("out/"), PHOTOS);
}
