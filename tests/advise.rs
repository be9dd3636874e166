//! `ADVISE` on queries that are slow on purpose: it names the cause first. How much a change gains is measured by
//! `make bench-advise`, which also has too many sessions: beside other tests, these get the larger share of the cores.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Outcome, run_in, seequel};
use crate::support::s3::S3;
use crate::support::{folder_of, home, photos};

/// Tries of a case whose cause is found by timing, which the machine's other work can hide.
const TRIES: usize = 6;

fn lite0(options: &str) -> String {
    let folder = home().join("models/efficientnet_lite0");
    format!(
        "CREATE MODEL m FROM '{}' OPTIONS (labels '{}', {options})",
        folder.join("model.onnx").display(),
        folder.join("labels.txt").display()
    )
}

fn advise(arguments: &[&str], sql: &str) -> Vec<Value> {
    let here = tempfile::tempdir().unwrap();
    let arguments = [&["--format", "json", "-q", "-c", sql], arguments].concat();
    rows(&run_in(here.path(), &arguments))
}

fn rows(outcome: &Outcome) -> Vec<Value> {
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    serde_json::from_str(outcome.stdout.lines().last().unwrap()).unwrap()
}

/// The first finding, which must be `cause` with a gain, its figures and a change.
#[track_caller]
fn assert_first(rows: &[Value], cause: &str) {
    let first = &rows[0];
    assert_eq!(first["cause"], cause, "{rows:?}");
    // A query that fails now gains no multiple of anything.
    let is_failing = first["finding"].as_str().unwrap().starts_with("the query fails: ");
    assert!(is_failing || first["gain"].as_f64().unwrap() >= 1.0, "{first}");
    assert!(first["evidence"].as_str().unwrap().contains(|c: char| c.is_ascii_digit()), "{first}");
    assert!(!first["change"].as_str().unwrap().is_empty(), "{first}");
    let last = rows.last().unwrap();
    assert_eq!((last["cause"].as_str(), last.get("gain")), (Some("limit"), None), "{last}");
}

/// As [`assert_first`], for what depends on cores that other tests use too.
#[track_caller]
fn assert_first_in_time(cause: &str, sql: &str) -> Vec<Value> {
    for _ in 1..TRIES {
        let rows = advise(&[], sql);
        if rows[0]["cause"] == cause {
            assert_first(&rows, cause);
            return rows;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    let rows = advise(&[], sql);
    assert_first(&rows, cause);
    rows
}

fn classify(folder: &Path) -> String {
    format!("ADVISE SELECT path, classify(image, 'm') FROM read_images('{}')", folder.display())
}

#[test]
fn one_session_of_large_batches_leaves_a_core_idle() {
    let folder = folder_of(128);
    let sql = format!("{}; {}", lite0("batch_size 64, concurrency 1"), classify(folder.path()));
    let rows = assert_first_in_time("sessions", &sql);
    assert!(rows[0]["change"].as_str().unwrap().contains("concurrency '2'"), "{rows:?}");
}

#[test]
fn one_partition_leaves_a_core_idle() {
    let folder = folder_of(100);
    let sql = format!(
        "SET datafusion.execution.target_partitions = 1;
         ADVISE SELECT classify(image) FROM read_images('{}')",
        folder.path().display()
    );
    assert_first_in_time("partitions", &sql);
}

/// ADVISE on the photos in a bucket of 3 MB a second.
fn advise_on_slow_store(query: &str) -> Vec<Value> {
    let mut server = S3::of_photos();
    server.throttle(3_000_000);
    let table = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 's3://photos/' OPTIONS ({})",
        server.options()
    );
    advise(&[], &format!("{table}; ADVISE {query}"))
}

#[test]
fn a_slow_store_starves_the_workers() {
    let rows = advise_on_slow_store("SELECT path, classify(image) FROM images");
    assert_first(&rows, "store");
    assert!(rows[0]["change"].as_str().unwrap().contains("s3://photos/"), "{rows:?}");
}

#[test]
fn columns_of_the_header_need_no_files() {
    let rows = advise_on_slow_store("SELECT avg(image_info(image)['width']) FROM images");
    assert_first(&rows, "column");
    assert_eq!(rows[0]["finding"], "files are read as a whole for image_info(image)['width']");
    assert_eq!(rows[0]["change"], "use the column width");
}

/// Twelve photos of 12 MP, made by Seequel itself.
fn large_photos(format: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let photos = photos().join("china.jpg");
    let made = folder.path().join("made");
    let large = format!("convert(resize(image, 4000, 3000), '{format}')");
    let extension = if format == "jpeg" { "jpg" } else { format };
    let sql = format!(
        "COPY (SELECT {large} AS image, 'a' || value || '.{extension}' AS path FROM read_images('{}'), generate_series(1, 12))
         TO '{}/' STORED AS IMAGES",
        photos.display(),
        made.display()
    );
    run_in(folder.path(), &["-q", "-c", &sql]).stdout();
    (folder, made)
}

#[test]
fn large_photos_take_long_to_decode() {
    let (_folder, made) = large_photos("jpeg");
    let sql = format!("ADVISE SELECT path, classify(image) FROM read_images('{}')", made.display());
    let rows = assert_first_in_time("decode", &sql);
    assert!(rows[0]["change"].as_str().unwrap().contains("thumbnail(image, 448)"), "{rows:?}");
}

#[test]
fn a_small_memory_limit_makes_workers_wait() {
    let (_folder, made) = large_photos("png");
    let sql = format!("ADVISE SELECT path, classify(image) FROM read_images('{}')", made.display());
    let rows = advise(&["--memory-limit", "128MB"], &sql);
    assert_first(&rows, "memory");
    assert_eq!(rows[0]["change"], "--memory-limit 512MB");
}

#[test]
fn a_fixed_batch_is_padded_where_inputs_have_one_row() {
    let names = ["cheetah1.jpg", "china.jpg", "lion.jpg", "flower.jpg"];
    let names = names.iter().filter(|name| photos().join(name).exists());
    let one = names.map(|name| format!("SELECT image FROM read_images('{}')", photos().join(name).display()));
    let one = one.collect::<Vec<_>>().join(" UNION ALL ");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/sixteen.onnx");
    let sql = format!(
        "CREATE MODEL fixed FROM '{model}'; ADVISE SELECT classify(image, 'fixed')['class'] FROM ({one})"
    );
    let rows = advise(&[], &sql);
    assert_first(&rows, "padding");
    assert_eq!(rows[0]["finding"], "'fixed' takes batches of 16 and gets 1.0 rows a batch");
}

#[test]
fn a_filter_within_or_goes_below_inference() {
    let folder = folder_of(60);
    let sql = format!(
        "ADVISE SELECT path FROM (SELECT path, classify(image) AS p FROM read_images('{}'))
         WHERE path LIKE '%1_.jpg' AND p['label'] = 'lion' OR path LIKE '%2_.jpg' AND p['confidence'] > 0.9",
        folder.path().display()
    );
    let rows = advise(&[], &sql);
    assert_first(&rows, "filter");
    assert!(rows[0]["evidence"].as_str().unwrap().starts_with("20 of 60 rows, 33 %, pass"), "{rows:?}");
    let change = rows[0]["change"].as_str().unwrap();
    // The advised condition does go below.
    let condition = change.strip_prefix("add to WHERE: ").unwrap();
    let narrowed = sql.replace("ADVISE ", "EXPLAIN ").replace("WHERE ", "WHERE (") + ") " + condition;
    let here = tempfile::tempdir().unwrap();
    let plan = run_in(here.path(), &["-q", "-c", &narrowed]).stdout();
    assert!(plan.contains("ImagesExec") && plan.contains("filters=[path"), "{plan}");
}

#[test]
fn embeddings_as_text_cost_more_than_numbers() {
    let folder = folder_of(100);
    let out = folder.path().join("out.csv");
    let sql = format!(
        "{}; ADVISE COPY (SELECT path, embed(image, 'm') AS v FROM read_images('{}')) TO '{}'",
        // Sizes that are given are judged by timing, and beside other tests one of them may come first.
        lite0("batch_size 4, concurrency 2"),
        folder.path().display(),
        out.display()
    );
    let rows = advise(&[], &sql);
    let text = rows.iter().find(|row| row["cause"] == "text").unwrap_or_else(|| panic!("{rows:?}"));
    assert!(text["finding"].as_str().unwrap().contains("1280 numbers"), "{rows:?}");
    assert!(!out.exists(), "nothing is written to the target");
}

#[test]
fn a_sort_with_too_little_memory_spills() {
    let sql = "SET datafusion.execution.sort_spill_reservation_bytes = 1000000;
               ADVISE SELECT * FROM (SELECT value, repeat('x', 300) || value AS text FROM generate_series(1, 300000))
               ORDER BY text DESC";
    let rows = advise(&["--memory-limit", "120MB"], sql);
    let found = rows[0]["finding"].as_str().unwrap();
    assert!(found.starts_with("a sort or aggregate has too little memory and writes "), "{rows:?}");
    assert_first(&rows, "sort");
}

#[test]
fn the_table_can_be_queried_and_says_when_there_is_nothing_to_gain() {
    let here = tempfile::tempdir().unwrap();
    let run = |sql: &str| Outcome::of(&mut seequel(here.path(), &["-q", "--format", "csv", "-c", sql]));
    let table = run("ADVISE SELECT 1").stdout();
    assert!(table.starts_with("cause,finding,evidence,gain,change\nnothing,nothing to gain"), "{table}");
    let photos = photos();
    let few = format!("ADVISE SELECT image FROM read_images('{}') OPTIONS (rows '5')", photos.display());
    assert!(run(&few).stdout().contains("rows in"), "{few}");
}

#[test]
fn mistakes_are_explained() {
    let here = tempfile::tempdir().unwrap();
    let error = |sql: &str| Outcome::of(&mut seequel(here.path(), &["-q", "-c", sql])).error();
    assert!(error("ADVISE SELECT 1 OPTIONS (rows 'many')").contains("'many' is no number of rows"));
    assert!(error("ADVISE SELECT 1 OPTIONS (budget '1s')").contains("ADVISE has one option, rows"));
    assert!(error("ADVISE CREATE TABLE t AS SELECT 1").contains("ADVISE takes a query, or a COPY"));
    assert!(error("ADVISE SHOW MODELS").contains("ADVISE takes a query or COPY"));
    assert!(error("ADVISE SELECT nope").contains("nope"));
}
