//! What becomes of rows that fail: `inference.on_error = 'skip'`, `inference.max_errors` and `inference.max_error_ratio`.

use std::fs;

use tempfile::TempDir;

use crate::support::process::{Outcome, run_in};
use crate::support::{Run, engine, folder_of};

const SKIP: &str = "SET inference.on_error = 'skip'; ";

/// `photos` photos, and files of text after each of the first `texts`, in the order of their names.
fn mixed_folder(photos: usize, texts: usize) -> TempDir {
    let folder = folder_of(photos);
    for number in 0..texts {
        fs::write(folder.path().join(format!("{number:04}.text.jpg")), "not a photo").unwrap();
    }
    folder
}

fn csv(folder: &TempDir, sql: &str) -> Outcome {
    run_in(folder.path(), &["-q", "--format", "csv", "-c", sql])
}

fn rows(folder: &TempDir, sql: &str) -> String {
    // What is left out is logged.
    csv(folder, &format!("{SKIP}{sql}")).stdout
}

#[test]
fn failed_rows_are_left_out_where_they_are_inferred() {
    let folder = mixed_folder(4, 3);
    let cases = [
        // Also if nothing reads the prediction.
        ("SELECT count(*) AS n FROM read_images('.')", "n\n7\n"),
        ("SELECT count(*) AS n FROM (SELECT embed(image) AS v FROM read_images('.'))", "n\n4\n"),
        ("SELECT count(v) AS n FROM (SELECT embed(image) AS v FROM read_images('.'))", "n\n4\n"),
        // A negated predicate would be true or NULL of a failed row.
        ("SELECT name FROM read_images('.') WHERE embed(image) IS NULL", "name\n"),
        ("SELECT count(*) AS n FROM read_images('.') WHERE classify(image).label <> 'cat'", "n\n4\n"),
        // A row with a bad image is left out, however many calls it has and wherever the other predicates run.
        (
            "SELECT name FROM (SELECT name, classify(image) AS a, embed(image, 'efficientnet_lite2') AS b
             FROM read_images('.')) WHERE a.label IS NOT NULL AND name < '0002' ORDER BY name",
            "name\n0000.jpg\n0001.jpg\n",
        ),
        ("SELECT count(*) AS n FROM read_images('.') GROUP BY classify(image).label", "n\n4\n"),
        // An expression of a row can't leave it out.
        (
            "SELECT count(*) AS n FROM (SELECT CASE WHEN size > 0 THEN embed(image) END AS v FROM read_images('.'))",
            "n\n7\n",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(rows(&folder, sql), expected, "{sql}");
    }
    let logged =
        csv(&folder, &format!("{SKIP}SELECT embed(image) IS NULL AS n FROM read_images('.')")).stderr;
    assert!(logged.contains("0000.text.jpg: not an image") && logged.contains("it is left out"), "{logged}");
}

#[test]
fn limits_count_the_rows_that_are_left() {
    let folder = mixed_folder(6, 6);
    let count = |query: &str| rows(&folder, &format!("SELECT count(*) AS n FROM ({query})"));
    assert_eq!(count("SELECT embed(image) AS v FROM read_images('.') LIMIT 5"), "n\n5\n");
    assert_eq!(count("SELECT embed(image) AS v FROM read_images('.') LIMIT 3 OFFSET 4"), "n\n2\n");
    let sorted = "SELECT name, classify(image).label AS l FROM read_images('.') ORDER BY name DESC LIMIT 3";
    assert_eq!(rows(&folder, sorted), "name,l\n0005.jpg,lion\n0004.jpg,lion\n0003.jpg,lion\n");
    // A limit of the input comes first.
    let inner = "SELECT embed(image) AS v FROM (SELECT * FROM read_images('.') ORDER BY name LIMIT 2)";
    assert_eq!(count(inner), "n\n1\n");
}

#[test]
fn outer_joins_pad_no_row_that_is_left_out() {
    let folder = mixed_folder(2, 1);
    let sql = "SELECT a.name, b.l FROM read_images('.') a LEFT JOIN
                 (SELECT name, classify(image).label AS l FROM read_images('.')) b ON a.name = b.name ORDER BY a.name";
    assert_eq!(rows(&folder, sql), "name,l\n0000.jpg,lion\n0000.text.jpg,\n0001.jpg,lion\n");
}

#[tokio::test]
async fn rows_in_are_those_that_are_answered_and_skipped() {
    let folder = mixed_folder(5, 3);
    let engine = engine().await;
    engine.sql("SET inference.on_error = 'skip'").await.unwrap();
    let from = format!("FROM read_images('{}')", folder.path().display());
    let run = Run::new(&engine, &format!("SELECT embed(image), classify(image) {from}")).await;
    assert_eq!(run.rows(), 5);
    assert_eq!(run.metric("InferExec", "skipped_rows"), 3);
    assert_eq!(run.metric("InferExec", "inferred_rows"), 5);
    assert_eq!(run.metric("InferExec", "decoded_images"), 5);
}

#[test]
fn more_errors_than_a_query_may_have_fail_it() {
    let folder = mixed_folder(4, 4);
    let sql = "SELECT count(v) AS n FROM (SELECT embed(image) AS v FROM read_images('.'))";
    let limited = |most: usize| csv(&folder, &format!("SET inference.max_errors = {most}; {sql}"));
    assert_eq!(limited(4).stdout, "n\n4\n");
    let error = limited(0).error();
    assert!(
        error.contains("failed row(s) are more than inference.max_errors (0); the last is /")
            && error.contains(".text.jpg: not an image")
            && error.contains("SET inference.max_errors = 10 allows more"),
        "{error}"
    );
    assert!(limited(3).error().contains("Error: 4 failed row(s) are more than inference.max_errors (3)"));
    // A row fails once, however many calls read its image; and so it does in branches of CASE.
    let two = "SELECT count(a) AS n FROM
                 (SELECT embed(image) AS a, classify(image, 'efficientnet_lite2').label AS b FROM read_images('.'))
               WHERE b IS NULL OR b <> ''";
    assert_eq!(csv(&folder, &format!("SET inference.max_errors = 4; {two}")).stdout, "n\n4\n");
    let branch = "SELECT CASE WHEN size > 0 THEN embed(image) END IS NULL AS n FROM read_images('.')";
    let error = csv(&folder, &format!("SET inference.max_errors = 3; {branch}")).error();
    assert!(error.contains("inference.max_errors (3)"), "{error}");
}

#[test]
fn a_larger_share_of_errors_than_allowed_fails_the_query_after_a_hundred_rows() {
    let sql = "SELECT count(v) AS n FROM (SELECT embed(image) AS v FROM read_images('.'))";
    let limited = |folder: &TempDir, share: &str| {
        csv(folder, &format!("SET inference.max_error_ratio = {share}; {sql}"))
    };
    let few = mixed_folder(4, 4);
    assert_eq!(limited(&few, "0.1").stdout, "n\n4\n");
    let many = mixed_folder(60, 60);
    assert_eq!(limited(&many, "0.9").stdout, "n\n60\n");
    let error = limited(&many, "0.1").error();
    assert!(
        error.contains("rows have failed, a larger share than inference.max_error_ratio (0.1); the last is")
            && error.contains("SET inference.max_error_ratio = 'none'"),
        "{error}"
    );
}

#[test]
fn limits_on_errors_are_numbers_or_none() {
    let folder = folder_of(1);
    let error = |sql: &str| csv(&folder, sql).error_line();
    insta::assert_snapshot!(error("SET inference.max_errors = 'few'"), @"Error: inference.max_errors is a number of rows or 'none', not 'few'");
    insta::assert_snapshot!(error("SET inference.max_error_ratio = 1.5"), @"Error: inference.max_error_ratio is a share from 0 to 1 or 'none', not '1.5'");
    let shown = csv(
        &folder,
        "SET inference.max_errors = 5; SET inference.max_errors = 'none'; SHOW inference.max_errors",
    );
    assert_eq!(shown.stdout(), "name,value\ninference.max_errors,none\n");
}

/// Functions whose types have no room for an error, and why they gave NULL.
#[test]
fn image_error_says_why_there_is_no_prediction() {
    let folder = mixed_folder(1, 1);
    fs::write(folder.path().join("cut.jpg"), &fs::read(folder.path().join("0000.jpg")).unwrap()[..3000])
        .unwrap();
    fs::File::create(folder.path().join("large.jpg")).unwrap().set_len(300 << 20).unwrap();
    let each = "SELECT name, v IS NULL AS failed, error FROM (SELECT name, embed(image) AS v, image_error(image) AS error
                FROM read_images('.')) ORDER BY name";
    insta::assert_snapshot!(csv(&folder, each).stdout, @r#"
    name,failed,error
    0000.jpg,false,
    0000.text.jpg,true,"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    cut.jpg,true,truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file
    large.jpg,true,could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)
    "#);
    // Alone, of a model, beside an image function and in a branch of CASE it says the same.
    let same = |error: &str, from: &str| {
        let sql = format!("SELECT name, {error} AS error FROM {from} ORDER BY name");
        csv(&folder, &sql).stdout
    };
    let expected = same("image_error(image)", "read_images('.')");
    for error in [
        "image_error(image, 'efficientnet_lite0')",
        "CASE WHEN size > 0 THEN image_error(image) END",
        "CASE WHEN thumbnail(image, 20) IS NULL THEN image_error(image) END",
        "nullif(image_error(image), CASE WHEN phash(image) = 0 THEN 'a' ELSE 'b' END)",
        "nullif(image_error(image), CASE WHEN thumbnail(image, 20) IS NULL THEN 'a' ELSE 'b' END)",
        // That a function fails on an image that can be decoded is no error of the image.
        "nullif(image_error(image), CASE WHEN crop(image, 9000, 0, 9001, 1) IS NULL THEN 'a' ELSE 'b' END)",
    ] {
        assert_eq!(same(error, "read_images('.')"), expected, "{error}");
    }
    let failed = "SELECT count(*) AS n FROM read_images('.') WHERE image_error(image) IS NOT NULL";
    assert_eq!(csv(&folder, failed).stdout, "n\n3\n");
    let error = csv(&folder, &format!("SET inference.on_error = 'fail'; {failed}")).error();
    assert!(error.contains("inference.on_error is 'fail'"), "{error}");
    assert_eq!(csv(&folder, "SELECT image_error(NULL) IS NULL AS fine").stdout(), "fine\ntrue\n");
}

/// A model may reject an image that can be decoded.
#[test]
fn image_error_tells_of_the_models_of_the_query() {
    let folder = folder_of(2);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/hungry.onnx");
    let lookup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/tinted.onnx");
    let create = format!("CREATE MODEL hungry FROM '{model}'; CREATE MODEL tinted FROM '{lookup}';");
    let sql = format!("{create} SELECT image_error(image, 'tinted') FROM read_images('.')");
    let error = csv(&folder, &sql).error();
    assert!(
        error.contains("image_error(image [, model]): model 'tinted' takes more than an image"),
        "{error}"
    );
    let well = format!("{create} SELECT image_error(image, 'hungry') IS NULL AS well FROM read_images('.')");
    assert_eq!(csv(&folder, &well).stdout, "well\ntrue\ntrue\n");
}
