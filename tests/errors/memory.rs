//! Memory limits: batches shrink or workers wait, and each row still gets its prediction.

use std::fs::File;

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
