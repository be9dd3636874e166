//! Files that vanish, shrink or change after they were listed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::csv;
use crate::support::process::{Watchdog, seequel, start};
use crate::support::{folder_of, photos};

/// Text that fills a pipe after a row or two, so that a query waits for its reader.
const PADDING: &str = "repeat('x', 60000) AS padding";

/// A query that waits for its reader after its first row.
struct Waiting {
    child: Child,
    rows: BufReader<ChildStdout>,
    _watchdog: Watchdog,
}

impl Waiting {
    fn on(folder: &Path, select: &str) -> Self {
        let sql = format!(
            "SET datafusion.execution.batch_size = 1; SET datafusion.execution.target_partitions = 1; {select}"
        );
        let mut command = seequel(folder, &["-q", "--format", "csv", "-c", &sql]);
        let (mut child, watchdog) = start(&mut command, Stdio::null());
        let mut rows = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        for _ in ["header", "first row"] {
            rows.read_line(&mut line).unwrap();
        }
        // The listing is done long before: it waits for nothing, and the rows for their reader.
        thread::sleep(Duration::from_millis(300));
        Self { child, rows, _watchdog: watchdog }
    }

    /// The other rows, the messages and the status.
    fn rest(mut self) -> (String, String, Option<i32>) {
        let mut errors = self.child.stderr.take().unwrap();
        let messages = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        self.rows.read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap().code();
        (text, messages.join().unwrap(), status)
    }
}

/// The row of a file, without the padding.
fn row<'a>(rows: &'a str, name: &str) -> &'a str {
    let found = rows.lines().find_map(|line| line.strip_prefix(&format!("{name},")));
    let found = found.unwrap_or_else(|| panic!("no row of {name}"));
    found.rsplit_once(",x").unwrap_or((found, "")).0
}

#[test]
fn files_that_change_between_listing_and_reading_are_read_as_they_are_then() {
    let folder = tempfile::tempdir().unwrap();
    // Each a file of its own: they are not links to one.
    for number in 0..150 {
        fs::copy(photos().join("lion.jpg"), folder.path().join(format!("{number:03}.jpg"))).unwrap();
    }
    let names = csv(folder.path(), "SELECT name FROM read_images('.')").stdout();
    // Those listed last are read last.
    let last: Vec<_> = names.lines().skip(120).collect();
    let path = |number: usize| folder.path().join(last[number]);
    let query = Waiting::on(
        folder.path(),
        &format!(
            "SELECT name, CASE WHEN size <> 1 THEN image_error(image) END AS error, {PADDING}
             FROM read_images('.')"
        ),
    );
    fs::remove_file(path(0)).unwrap();
    let whole = fs::metadata(path(1)).unwrap().len();
    File::options().write(true).open(path(1)).unwrap().set_len(whole / 2).unwrap();
    File::create(path(2)).unwrap();
    fs::remove_file(path(3)).unwrap();
    fs::create_dir(path(3)).unwrap();
    File::options().write(true).open(path(4)).unwrap().set_len(300 << 20).unwrap();
    fs::copy(photos().join("coffee.png"), path(5)).unwrap();
    let (rows, messages, status) = query.rest();
    assert_eq!((status, rows.lines().count()), (Some(0), 149), "{messages}");
    let gone = |number: usize, reason: &str| {
        format!("could not be read: Object at location {} not found: {reason}", path(number).display())
    };
    let expected = [
        gone(0, "No such file or directory (os error 2)"),
        "truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file".to_owned(),
        "empty file".to_owned(),
        gone(3, "is directory"),
        "could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)"
            .to_owned(),
        String::new(),
    ];
    for (number, expected) in expected.iter().enumerate() {
        assert_eq!(row(&rows, last[number]), expected);
    }
    assert!(messages.contains("a file could not be read; its columns are NULL"), "{messages}");
}

/// A shard of 28 MB, of which 8 are read ahead, and a Parquet file, of photos.
fn archives() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut shard = tar::Builder::new(File::create(folder.path().join("a.tar")).unwrap());
    for number in 0..1500 {
        shard.append_path_with_name(photos().join("lion.jpg"), format!("{number:04}.jpg")).unwrap();
    }
    shard.into_inner().unwrap();
    let sql = format!(
        "COPY (SELECT image, value FROM read_images('{}'), generate_series(1, 500)) TO 'a.parquet'
         OPTIONS ('max_row_group_size' '10')",
        photos().join("lion.jpg").display()
    );
    csv(folder.path(), &sql).stdout();
    folder
}

#[test]
fn archives_that_shrink_while_they_are_read_fail_the_query_and_are_named() {
    let folder = archives();
    let half = |name: &str| {
        let file = File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    let shard = "CREATE EXTERNAL TABLE t STORED AS WEBDATASET LOCATION 'a.tar'";
    let query =
        Waiting::on(folder.path(), &format!("{shard}; SELECT thumbnail(image, 8) IS NULL, {PADDING} FROM t"));
    half("a.tar");
    let (_, messages, status) = query.rest();
    assert_eq!(status, Some(1), "{messages}");
    assert!(messages.contains("/a.tar': ") && !messages.contains("panicked"), "{messages}");

    let query = Waiting::on(
        folder.path(),
        &format!("SELECT thumbnail(image, 8) IS NULL, {PADDING} FROM 'a.parquet'"),
    );
    half("a.parquet");
    let (_, messages, status) = query.rest();
    assert_eq!(status, Some(1), "{messages}");
    assert!(messages.contains("a.parquet") && !messages.contains("panicked"), "{messages}");
}

/// The file is read once for its settings, and again when its session is loaded.
#[test]
fn a_model_that_shrinks_after_it_was_created_is_named() {
    let folder = folder_of(1);
    let model = crate::support::home().join("models/efficientnet_lite0/model.onnx");
    let whole = fs::read(model).unwrap();
    fs::write(folder.path().join("m.onnx"), &whole).unwrap();
    let sql = "CREATE MODEL m FROM 'm.onnx' OPTIONS (task 'image-classification');
               COPY (SELECT 1 AS a) TO 'created.csv';
               SELECT name, repeat('x', 100000) FROM read_images('.'), generate_series(1, 100);
               SELECT classify(image, 'm')['label'] FROM read_images('.')";
    let mut command = seequel(folder.path(), &["-q", "--format", "csv", "-c", sql]);
    let (child, _watchdog) = start(&mut command, Stdio::null());
    // The third statement waits for its reader.
    while !folder.path().join("created.csv").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    fs::write(folder.path().join("m.onnx"), &whole[..whole.len() / 2]).unwrap();
    let output = child.wait_with_output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(
        messages.contains("Error: model 'm': ONNX Runtime can't load ")
            && messages.contains("m.onnx on cpu: "),
        "{messages}"
    );
}
