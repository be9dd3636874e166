//! `COPY … OPTIONS ('resume' …)` with the real binary: what killed, stopped and repeated statements leave.

mod errors;
mod kills;
mod refused;
mod remote;
mod repeated;
mod stopped;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::process::{Outcome, run_in, seequel, start};
use crate::support::{home, photos};

/// A folder with `count` photos in `photos/`, links to seven different ones.
fn folder_with(count: usize) -> TempDir {
    let folder = tempfile::tempdir_in(home()).unwrap();
    link_photos(&folder.path().join("photos"), count);
    folder
}

fn link_photos(folder: &Path, count: usize) {
    const PHOTOS: [&str; 7] = ["cheetah1", "china", "flower", "lion", "quokka", "rocket", "tower"];
    fs::create_dir(folder).unwrap();
    for (number, photo) in (0..count).zip(PHOTOS.into_iter().cycle()) {
        let photo = photos().join(format!("{photo}.jpg"));
        fs::hard_link(photo, folder.join(format!("{number:04}.jpg"))).unwrap();
    }
}

const QUERY: &str =
    "SELECT path, classify(image)['label'] AS label, classify(image)['confidence'] AS confidence, size
                     FROM read_images('photos/')";

/// A COPY in parts of some ten rows.
fn copy(query: &str) -> String {
    format!("COPY ({query}) TO 'out/' STORED AS PARQUET OPTIONS (resume 'path', commit_rows 10)")
}

/// Runs statements in `folder`; results are CSV.
fn run(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

/// The number that a query of one gives.
#[track_caller]
fn number(outcome: Outcome) -> usize {
    outcome.stdout().lines().nth(1).unwrap().parse().unwrap()
}

/// The rows that are committed, as SHOW RESUMABLE has them; none before the log begins.
fn committed(folder: &Path) -> usize {
    let shown = run(folder, "SHOW RESUMABLE 'out/'");
    if shown.status == Some(1) {
        return 0;
    }
    shown_rows(&shown.stdout())
}

fn shown_rows(csv: &str) -> usize {
    // From the end, because the query has commas.
    csv.trim_end().rsplit(',').nth(6).unwrap().parse().unwrap()
}

/// Checks a metric in the output of EXPLAIN ANALYZE, which rounds thousands.
#[track_caller]
fn assert_metric(analyzed: &str, name: &str, value: usize) {
    let value = if value < 1000 { value.to_string() } else { format!("{:.2} K", value as f64 / 1000.0) };
    let is_shown = [",", "]"].iter().any(|end| analyzed.contains(&format!("{name}={value}{end}")));
    assert!(is_shown, "{name} is not {value}: {analyzed}");
}

/// Compares the rows below `out/` with those of an uninterrupted COPY of `query`.
#[track_caller]
fn assert_whole(folder: &Path, query: &str) {
    let sql = format!(
        "COPY ({query}) TO 'whole/' STORED AS PARQUET;
         CREATE EXTERNAL TABLE whole STORED AS PARQUET LOCATION 'whole/';
         CREATE EXTERNAL TABLE parts STORED AS PARQUET LOCATION 'out/';
         SELECT count(*) AS more FROM (SELECT * FROM parts EXCEPT ALL SELECT * FROM whole);
         SELECT count(*) AS less FROM (SELECT * FROM whole EXCEPT ALL SELECT * FROM parts)"
    );
    let compared = run(folder, &sql).stdout();
    assert!(compared.ends_with("more\n0\nless\n0\n"), "{compared}");
}

/// Ends a COPY that was interrupted: what it infers are the rows that were not committed.
#[track_caller]
fn finish(folder: &Path, photos: usize) {
    let before = committed(folder);
    let analyzed = run(folder, &format!("EXPLAIN ANALYZE {}", copy(QUERY))).stdout();
    assert_metric(&analyzed, "finished_files", before);
    assert_metric(&analyzed, "chosen_files", photos - before);
    if before < photos {
        assert_metric(&analyzed, "inferred_rows", photos - before);
    }
    assert_eq!(committed(folder), photos);
    assert_whole(folder, QUERY);
    let left: Vec<_> =
        fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let hidden = left.iter().filter(|name| name.to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "{left:?}");
}

/// Starts a COPY, and returns once it has committed a part.
fn running(folder: &Path, sql: &str) -> (std::process::Child, crate::support::process::Watchdog) {
    let running = start(&mut seequel(folder, &["-q", "-c", sql]), Stdio::null());
    wait_for(&folder.join("out/_seequel/00000002.json"));
    running
}

#[track_caller]
fn wait_for(file: &Path) {
    let started = Instant::now();
    while !file.exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "{} does not appear", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}
