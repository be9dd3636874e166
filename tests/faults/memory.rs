//! Memory that is short: work gets smaller or waits, and each row still has its answer.

use image::imageops::FilterType::Nearest;

use crate::support::process::run_in;
use crate::support::{folder_of, photos};

/// Two of 24 megapixels, among photos of a few hundred kilobytes: as PNG it takes 144 MB while it is decoded.
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
    insta::assert_snapshot!(run_in(folder.path(), &arguments).answer(), @r"
    label,error,photos,widest
    lion,,42,6000
    ");
}
