//! Memory limits: batches shrink or workers wait, and each row still gets its prediction.

use std::fs::{self, File};
use std::path::Path;

use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::process::run_in;
use crate::support::{folder_of, photos};

/// Two images of 24 megapixels among photos of a few hundred kilobytes: decoding the PNG takes 144 MB.
#[test]
fn huge_photos_among_small_ones_fit_into_256_megabytes() {
    let folder = folder_of(40);
    for (name, format) in [("0010_huge.png", "png"), ("0020_huge.jpg", "jpeg")] {
        let huge = format!(
            "COPY (SELECT '{name}' AS name, convert(resize(image, 6000, 4000), '{format}') AS image FROM '0000.jpg')
             TO './' STORED AS IMAGES OPTIONS (mode 'append')"
        );
        run_in(folder.path(), &["-q", "-c", &huge]).stdout();
    }
    let sql = "SELECT p['label'] AS label, p['error'] AS error, count(*) AS photos, max(width) AS widest
               FROM (SELECT classify(image) AS p, width FROM read_images('.')) GROUP BY 1, 2";
    let arguments = ["--memory-limit", "256MB", "-q", "--format", "csv", "-c", sql];
    insta::assert_snapshot!(run_in(folder.path(), &arguments).stdout(), @r"
    label,error,photos,widest
    lion,,42,6000
    ");
}

/// A photo with `bytes` in all, most of them after its end.
fn padded(file: &Path, bytes: u64) {
    fs::copy(photos().join("lion.jpg"), file).unwrap();
    File::options().write(true).open(file).unwrap().set_len(bytes).unwrap();
}

const LABELS: &str = "SELECT name, p['label'] AS label, p['error'] AS error
                      FROM (SELECT name, classify(image) AS p FROM read_images('.')) ORDER BY name";

#[test]
fn a_file_larger_than_the_limit_fails_alone() {
    let folder = folder_of(2);
    padded(&folder.path().join("large.jpg"), 65 << 20);
    let limited =
        |sql: &str| run_in(folder.path(), &["--memory-limit", "64MB", "-q", "--format", "csv", "-c", sql]);
    let reason = "could not be read: its 68157440 bytes are more than the memory limit (67108864); --memory-limit or SET \
                  datafusion.runtime.memory_limit raises it";
    let outcome = limited(LABELS);
    let expected = format!("name,label,error\n0000.jpg,lion,\n0001.jpg,lion,\nlarge.jpg,,{reason}\n");
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
    let failed = limited(&format!("SET inference.on_error = 'fail'; {LABELS}")).error();
    assert!(failed.contains(&format!("large.jpg: {reason}")), "{failed}");
    let copy =
        "COPY (SELECT name, image FROM read_images('.')) TO 'r.parquet' OPTIONS ('errors' 'e.parquet');
                SELECT path, stage, error FROM 'e.parquet'";
    let outcome = limited(copy);
    assert!(outcome.stdout.ends_with(&format!("large.jpg,read,{reason}\n")), "{outcome:?}");
    // As the message says.
    let raised = limited(&format!("SET datafusion.runtime.memory_limit = '96M'; {LABELS}"));
    assert!(raised.stdout.ends_with("large.jpg,lion,\n"), "{raised:?}");
}

/// Decoding 24 megapixels of a PNG takes 144 MB.
#[test]
fn an_image_that_decodes_to_more_than_the_limit_fails_alone() {
    let folder = folder_of(2);
    let huge =
        "COPY (SELECT 'huge.png' AS name, convert(resize(image, 6000, 4000), 'png') AS image FROM '0000.jpg')
                TO './' STORED AS IMAGES OPTIONS (mode 'append')";
    run_in(folder.path(), &["-q", "-c", huge]).stdout();
    let limited =
        |sql: &str| run_in(folder.path(), &["--memory-limit", "128MB", "-q", "--format", "csv", "-c", sql]);
    let outcome = limited(LABELS);
    let expected = "name,label,error\n0000.jpg,lion,\n0001.jpg,lion,\nhuge.png,,decoding takes 138 MiB, more than the \
                    memory limit (128 MiB); --memory-limit or SET datafusion.runtime.memory_limit raises it\n";
    assert_eq!(outcome.stdout.replace('"', ""), expected, "{outcome:?}");
    let raised = limited(&format!("SET datafusion.runtime.memory_limit = '256M'; {LABELS}"));
    assert!(raised.stdout.ends_with("huge.png,lion,\n"), "{raised:?}");
}

/// Files that are read ahead and wait for a worker leave no row without the memory that it needs.
#[test]
fn what_fits_into_a_low_limit_never_fails_for_what_others_hold() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..60 {
        padded(&folder.path().join(format!("{number}.jpg")), 1 << 20);
    }
    // Nothing above inference: a GROUP BY may find all of so little memory taken.
    let sql = "SELECT p['label'] AS label, p['error'] AS error FROM (SELECT classify(image) AS p FROM read_images('.'))";
    let outcome = run_in(folder.path(), &["--memory-limit", "16MB", "-q", "--format", "csv", "-c", sql]);
    assert_eq!(outcome.stdout, format!("label,error\n{}", "lion,\n".repeat(60)), "{outcome:?}");
}

/// 60 maps of 4 MiB each are written as they are computed.
#[test]
fn large_outputs_are_not_collected() {
    let folder = folder_of(60);
    let sql = format!(
        "CREATE MODEL map FROM '{}/tests/data/models/map.onnx' OPTIONS (task 'depth-estimation');
         COPY (SELECT path, predict('map', image) AS map FROM read_images('.')) TO 'maps.arrow'",
        env!("CARGO_MANIFEST_DIR")
    );
    let arguments = ["--memory-limit", "128MB", "-q", "--format", "csv", "-c", &sql];
    assert_eq!(run_in(folder.path(), &arguments).stdout(), "count\n60\n");
}

/// The writer and the reader hold a row group in memory until it is complete.
#[test]
fn photos_are_written_in_row_groups_of_some_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "COPY (SELECT path, image FROM read_images('{}'), generate_series(1, 20)) TO 'photos.parquet'
         OPTIONS (compression 'uncompressed')",
        photos().display()
    );
    run_in(folder.path(), &["--memory-limit", "256MB", "-q", "-c", &sql]).stdout();
    let file = SerializedFileReader::new(File::open(folder.path().join("photos.parquet")).unwrap()).unwrap();
    let sizes: Vec<_> =
        file.metadata().row_groups().iter().map(|group| group.compressed_size() >> 20).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|megabytes| *megabytes < 40), "{sizes:?}");
    assert_eq!(file.metadata().file_metadata().num_rows(), 400);
}
