//! Memory limits: batches shrink or workers wait, and each row still gets its prediction.

use std::fs::File;

use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use image::imageops::FilterType::Nearest;

use crate::support::process::run_in;
use crate::support::{folder_of, photos};

/// Two images of 24 megapixels among photos of a few hundred kilobytes: decoding the PNG takes 144 MB.
#[test]
fn huge_photos_among_small_ones_fit_into_256_megabytes() {
    let folder = folder_of(40);
    let lion = image::open(photos().join("lion.jpg")).unwrap();
    let huge = lion.resize_to_fill(6000, 4000, Nearest);
    for name in ["0010_huge.png", "0020_huge.jpg"] {
        huge.save(folder.path().join(name)).unwrap();
    }
    let sql = "SELECT p['label'] AS label, p['error'] AS error, count(*) AS photos, max(width) AS widest
               FROM (SELECT classify(image) AS p, width FROM read_images('.')) GROUP BY 1, 2";
    let arguments = ["--memory-limit", "256MB", "-q", "--format", "csv", "-c", sql];
    insta::assert_snapshot!(run_in(folder.path(), &arguments).stdout(), @r"
    label,error,photos,widest
    lion,,42,6000
    ");
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
