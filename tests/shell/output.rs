//! The format of results, on the screen and in files.

use crate::support::photos;
use crate::support::process::{run, run_in};

/// Nested values, NULLs, and values that need quoting.
const VALUES: &str = "SELECT * FROM (VALUES (1, 'a,b', named_struct('label', 'cat')), (2, 'say \"hi\"', NULL), (3, NULL, named_struct('label', 'dog'))) AS t(n, text, p)";

fn print(format: &str) -> String {
    run(&["-q", "--format", format, "-c", VALUES]).stdout()
}

#[test]
fn a_table() {
    insta::assert_snapshot!(print("table"), @r#"
    +---+----------+--------------+
    | n | text     | p            |
    +---+----------+--------------+
    | 1 | a,b      | {label: cat} |
    | 2 | say "hi" |              |
    | 3 |          | {label: dog} |
    +---+----------+--------------+
    "#);
    assert_eq!(print("automatic"), print("table"));
}

#[test]
fn csv() {
    insta::assert_snapshot!(print("csv"), @r#"
    n,text,p
    1,"a,b","{""label"":""cat""}"
    2,"say ""hi""",
    3,,"{""label"":""dog""}"
    "#);
}

#[test]
fn tsv() {
    insta::assert_snapshot!(print("tsv"), @r#"
    n	text	p
    1	a,b	"{""label"":""cat""}"
    2	"say ""hi"""	
    3		"{""label"":""dog""}"
    "#);
}

#[test]
fn json() {
    insta::assert_snapshot!(print("json"), @r#"[{"n":1,"text":"a,b","p":{"label":"cat"}},{"n":2,"text":"say \"hi\""},{"n":3,"p":{"label":"dog"}}]"#);
}

#[test]
fn json_lines() {
    insta::assert_snapshot!(print("nd-json"), @r#"
    {"n":1,"text":"a,b","p":{"label":"cat"}}
    {"n":2,"text":"say \"hi\""}
    {"n":3,"p":{"label":"dog"}}
    "#);
}

#[test]
fn a_classification_in_every_format() {
    let sql = "SELECT classify(NULL) AS nothing, classify(arrow_cast('x', 'Binary')) AS failed";
    let print = |format: &str| run(&["-q", "--format", format, "-c", sql]).stdout();
    insta::assert_snapshot!(print("table"), @r#"
    +---------+-------------------------------------------------------------------------------------------------------+
    | nothing | failed                                                                                                |
    +---------+-------------------------------------------------------------------------------------------------------+
    |         | {model: efficientnet_lite0, error: not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF} |
    +---------+-------------------------------------------------------------------------------------------------------+
    "#);
    insta::assert_snapshot!(print("csv"), @r#"
    nothing,failed
    ,"{""model"":""efficientnet_lite0"",""error"":""not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF""}"
    "#);
    insta::assert_snapshot!(print("json"), @r#"[{"failed":{"model":"efficientnet_lite0","error":"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"}}]"#);
}

#[test]
fn summary_counts_failed_rows() {
    let sql = "SELECT classify(arrow_cast('x', 'Binary'))['label'] AS label";
    let shown = run(&["-c", sql]).stdout();
    assert!(shown.contains("1 row(s) in set, ") && shown.contains("; 1 failed."), "{shown}");
}

#[test]
fn images_are_shown_by_format_and_size() {
    let sql = "SELECT image FROM 'photos/lion.jpg'";
    insta::assert_snapshot!(run(&["-q", "-c", sql]).stdout(), @r#"
    +-----------------------+
    | image                 |
    +-----------------------+
    | <jpeg 256×256, 18 kB> |
    +-----------------------+
    "#);
}

#[test]
fn summary_counts_rows_unless_quiet() {
    let arguments = ["-c", "SELECT value FROM generate_series(1, 3)", "CREATE TABLE t AS SELECT 1"];
    let output = run(&arguments).stdout();
    insta::with_settings!({filters => [(r"\d+\.\d{3} seconds", "[time] seconds")]}, {
        insta::assert_snapshot!(output, @r#"
    +-------+
    | value |
    +-------+
    | 1     |
    | 2     |
    | 3     |
    +-------+
    3 row(s) in set, [time] seconds.

    0 row(s) in set, [time] seconds.
    "#);
    });
    let quiet = run(&[&arguments[..], &["--quiet"]].concat()).stdout();
    assert!(quiet.contains("| 3     |") && !quiet.contains("row(s)"), "{quiet}");
}

/// A model from a file without settings beside it.
fn create(options: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/shares.onnx");
    format!("CREATE MODEL \"My model\" FROM '{file}' OPTIONS ({options})")
}

#[test]
fn created_model_says_what_it_assumes_on_standard_error() {
    let bare = run(&["--format", "csv", "-c", &create("")]);
    insta::assert_snapshot!(bare.stderr, @r#"assumed: RGB, pixels of 0 to 1, mean 0, std 1, resize crop, crop_fraction 0.875, bicubic, no labels; DESCRIBE MODEL "My model" shows all"#);
    let some = run(&["-c", &create("mean '104,117,123', resize 'stretch', labels '[\"a\",\"b\",\"c\"]'")]);
    insta::assert_snapshot!(some.stderr, @r#"assumed: RGB, although the mean is ImageNet's in the order BGR, pixels of 0 to 255, std 1, bicubic; DESCRIBE MODEL "My model" shows all"#);
}

#[test]
fn nothing_assumed_or_quiet_is_no_remark() {
    assert_eq!(run(&["-q", "-c", &create("")]).stdout(), "");
    run(&["-c", "CREATE MODEL m FROM 'models/efficientnet_lite0'"]).stdout();
    let kept = format!("CREATE MODEL IF NOT EXISTS efficientnet_lite0 FROM '{}'", "no.onnx");
    run(&["-c", &kept]).stdout();
}

#[test]
fn tables_show_the_first_rows() {
    let sql = "SELECT value FROM generate_series(1, 100)";
    insta::assert_snapshot!(run(&["-q", "--maxrows", "2", "-c", sql]).stdout(), @r#"
    +-------+
    | value |
    +-------+
    | 1     |
    | 2     |
    +-------+
    … 98 more rows, --maxrows shows more
    "#);
    let usual = run(&["-q", "-c", sql]).stdout();
    assert!(
        usual.contains("| 40    |") && usual.ends_with("… 60 more rows, --maxrows shows more\n"),
        "{usual}"
    );
    let all = run(&["-q", "--maxrows", "unlimited", "-c", sql]).stdout();
    assert!(all.contains("| 100   |") && !all.contains("more rows"), "{all}");
    let csv = run(&["-q", "--maxrows", "2", "--format", "csv", "-c", sql]).stdout();
    assert_eq!(csv.lines().count(), 101);
}

#[test]
fn copied_results_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let photos = photos();
    for file in ["results.parquet", "results.csv", "results.json"] {
        let copy = format!(
            "COPY (SELECT regexp_replace(path, '.*/', '') AS photo, p['label'] AS label, p['confidence'] > 0.5 AS sure
                   FROM (SELECT path, classify(image) AS p FROM read_images('{}/[clm][io]*[en].[pj][np]g'))) TO '{file}'",
            photos.display()
        );
        let read_back = format!("SELECT photo, label, sure FROM '{file}' ORDER BY photo");
        let output = run_in(folder.path(), &["-q", "--format", "tsv", "-c", &copy, &read_back]).stdout();
        insta::allow_duplicates! {
            insta::assert_snapshot!(output, @r"
            count
            3
            photo	label	sure
            coffee.png	espresso	true
            lion.jpg	lion	true
            moon.png	nematode	false
            ");
        }
    }
}

#[test]
fn predictions_stay_structs_in_parquet_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let lion = photos().join("lion.jpg");
    for file in ["results.parquet", "results.json"] {
        let copy = format!("COPY (SELECT classify(image) AS p FROM '{}') TO '{file}'", lion.display());
        let read_back =
            format!("SELECT p['label'] AS label, p['class'] AS class, p['model'] AS model FROM '{file}'");
        let output = run_in(folder.path(), &["-q", "--format", "csv", "-c", &copy, &read_back]).stdout();
        assert_eq!(output, "count\n1\nlabel,class,model\nlion,291,efficientnet_lite0\n", "{file}");
    }
}
