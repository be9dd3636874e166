//! The format of results, on the screen and in files.

use std::fs;

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
    assert_eq!(print("ndjson"), print("nd-json"));
    assert_eq!(print("jsonl"), print("nd-json"));
}

#[test]
fn a_table_with_lines() {
    insta::assert_snapshot!(print("box"), @r#"
    ┌───┬──────────┬──────────────┐
    │ n │ text     │ p            │
    ├───┼──────────┼──────────────┤
    │ 1 │ a,b      │ {label: cat} │
    │ 2 │ say "hi" │              │
    │ 3 │          │ {label: dog} │
    └───┴──────────┴──────────────┘
    "#);
}

#[test]
fn markdown() {
    insta::assert_snapshot!(print("markdown"), @r#"
    | n | text | p |
    | ---: | --- | --- |
    | 1 | a,b | {label: cat} |
    | 2 | say "hi" |  |
    | 3 |  | {label: dog} |
    "#);
    let escaped = "SELECT 'a|b' || chr(10) || '<c>' AS text, 1 AS \"x|y\"";
    insta::assert_snapshot!(run(&["-q", "--format", "md", "-c", escaped]).stdout(), @r"
    | text | x\|y |
    | --- | ---: |
    | a\|b<br>\<c> | 1 |
    ");
}

#[test]
fn html() {
    insta::assert_snapshot!(print("html"), @r#"
    <table>
    <thead>
    <tr><th>n</th><th>text</th><th>p</th></tr>
    </thead>
    <tbody>
    <tr><td style="text-align: right">1</td><td>a,b</td><td>{label: cat}</td></tr>
    <tr><td style="text-align: right">2</td><td>say &quot;hi&quot;</td><td></td></tr>
    <tr><td style="text-align: right">3</td><td></td><td>{label: dog}</td></tr>
    </tbody>
    </table>
    "#);
    let sql = "SELECT '<script>' || chr(10) || '&' AS \"a<b\", image FROM 'photos/lion.jpg'";
    insta::assert_snapshot!(run(&["-q", "--format", "html", "-c", sql]).stdout(), @r"
    <table>
    <thead>
    <tr><th>a&lt;b</th><th>image</th></tr>
    </thead>
    <tbody>
    <tr><td>&lt;script&gt;<br>&amp;</td><td>&lt;jpeg 256×256, 18 kB&gt;</td></tr>
    </tbody>
    </table>
    ");
}

#[test]
fn null_can_have_a_text() {
    let print = |format: &str| run(&["-q", "--null", "n/a", "--format", format, "-c", VALUES]).stdout();
    insta::assert_snapshot!(print("table"), @r#"
    +---+----------+--------------+
    | n | text     | p            |
    +---+----------+--------------+
    | 1 | a,b      | {label: cat} |
    | 2 | say "hi" | n/a          |
    | 3 | n/a      | {label: dog} |
    +---+----------+--------------+
    "#);
    insta::assert_snapshot!(print("csv"), @r#"
    n,text,p
    1,"a,b","{""label"":""cat""}"
    2,"say ""hi""",n/a
    3,n/a,"{""label"":""dog""}"
    "#);
    insta::assert_snapshot!(print("markdown"), @r#"
    | n | text | p |
    | ---: | --- | --- |
    | 1 | a,b | {label: cat} |
    | 2 | say "hi" | n/a |
    | 3 | n/a | {label: dog} |
    "#);
    let sql = "\\pset null (none)\nSELECT NULL AS a;\n\\pset null ''\nSELECT NULL AS a";
    insta::assert_snapshot!(run(&["-q", "-c", sql]).stdout(), @r"
    +--------+
    | a      |
    +--------+
    | (none) |
    +--------+
    +---+
    | a |
    +---+
    |   |
    +---+
    ");
}

/// Values that took megabytes in a table: lists of all kinds, maps, structs in lists, and text.
#[test]
fn long_values_are_shortened_in_tables_and_whole_in_data_formats() {
    let sql = "SELECT list AS numbers,
                      arrow_cast(list, 'LargeList(Int64)') AS large,
                      make_array(list, list) AS nested,
                      map(arrow_cast(list, 'List(Utf8)'), list) AS entries,
                      structs,
                      named_struct('list', list) AS inside,
                      repeat('word ', 100000) AS text
               FROM (SELECT array_agg(value ORDER BY value) AS list,
                            array_agg(named_struct('name', repeat('x', 50), 'n', value) ORDER BY value) AS structs
                     FROM generate_series(1, 20000))";
    for display in ["\\x off", "\\x on"] {
        let shown = run(&["-q", "-c", &format!("{display}\n{sql}")]).stdout();
        assert!(shown.len() < 20_000, "{} bytes", shown.len());
        for part in [
            " | [1, 2, 3, 4, … (20000 numbers)]",
            "[[1, 2, 3, 4, … (20000 numbers)], [1, 2, 3, 4, … (20000 numbers)]]",
            "{1: 1, 2: 2, 3: 3, 4: 4, … (20000 entries)}",
            ", n: 4}, … (20000 items)]",
            "word wor",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
    for format in ["csv", "tsv", "json", "nd-json"] {
        let written = run(&["-q", "--format", format, "-c", sql]).stdout();
        assert!(written.contains("19999,20000") && !written.contains('…'), "{format}");
        assert!(written.contains(&"word ".repeat(100_000)), "{format}");
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let sql = "SELECT chr(27) || '[2J' || chr(9) || 'a' AS text";
    insta::assert_snapshot!(run(&["-q", "-c", sql]).stdout(), @r"
    +--------------+
    | text         |
    +--------------+
    | \u{1b}[2J\ta |
    +--------------+
    ");
}

#[test]
fn a_table_of_images_is_summarized() {
    let sql = "SUMMARIZE FROM 'photos/*.jpg'";
    let shown = run(&["-q", "--format", "csv", "-c", sql]).stdout();
    let names = shown.lines().map(|line| line.split(',').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        names,
        ["column_name", "path", "name", "image", "size", "modified", "etag", "width", "height", "format"]
    );
    assert!(shown.contains("\nimage,BinaryView,,,,,,,,,8,\n"), "{shown}");
    assert!(shown.contains("\nformat,Utf8,jpeg,jpeg,1,,,,,,8,0.00\n"), "{shown}");
    let folder = run(&["-q", "--format", "csv", "-c", "SUMMARIZE 'photos'"]).stdout();
    assert!(folder.contains("\nformat,Utf8,jpeg,png,2,,,,,,20,0.00\n"), "{folder}");
}

#[test]
fn files_have_the_format_of_their_ending_and_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let written = |file: &str| {
        let sql = format!("\\o {file}\nSELECT value AS n FROM generate_series(1, 100); SELECT 'b' AS a");
        assert_eq!(run_in(folder.path(), &["-q", "--format", "tsv", "-c", &sql]).stdout(), "");
        fs::read_to_string(folder.path().join(file)).unwrap()
    };
    for (file, first_line, lines) in [
        ("a.csv", "n", 103),
        ("a.tsv", "n", 103),
        ("a.unknown", "n", 103),
        ("a.jsonl", "{\"n\":1}", 101),
        ("a.ndjson", "{\"n\":1}", 101),
        ("a.md", "| n |", 105),
        ("a.html", "<table>", 115),
        ("a.txt", "+-----+", 109),
    ] {
        let text = written(file);
        assert_eq!((text.lines().next(), text.lines().count()), (Some(first_line), lines), "{text}");
    }
    assert!(written("a.json").ends_with("{\"n\":100}]\n[{\"a\":\"b\"}]\n"));
}

#[test]
fn files_keep_their_content_until_a_result_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.csv");
    fs::write(&file, "a long line of earlier results\n").unwrap();
    let kept = || fs::read_to_string(&file).unwrap();
    for sql in
        ["SELECT nothing", "SELECT arrow_cast('x', 'Int64')", "CREATE TABLE t AS SELECT 1", "\\o\nSELECT 1"]
    {
        run_in(folder.path(), &["-q", "-c", &format!("\\o kept.csv\n{sql}")]);
        assert_eq!(kept(), "a long line of earlier results\n", "{sql}");
    }
    assert_eq!(run_in(folder.path(), &["-q", "-c", "\\o kept.csv\nSELECT 1 AS a"]).stdout(), "");
    assert_eq!(kept(), "a\n1\n");
}

#[test]
fn results_can_not_be_sent_to_programs_or_folders() {
    let folder = tempfile::tempdir().unwrap();
    let error = |command: &str| run_in(folder.path(), &["-c", command]).error();
    insta::assert_snapshot!(error("\\o | less"), @r"
    Error: \o writes to files only; to pipe results into a program, run seequel --quiet --command … | program
     --> --command:1:1
      |
    1 | \o | less
      | ^
    ");
    let missing = error("\\o no/where.csv");
    assert!(missing.starts_with("Error: no/where.csv: No such file"), "{missing}");
}

#[test]
fn a_classification_in_every_format() {
    let sql = "SELECT classify(NULL) AS nothing, classify(arrow_cast('x', 'Binary')) AS failed";
    let print = |format: &str| run(&["-q", "--format", format, "-c", sql]).stdout();
    insta::assert_snapshot!(print("table"), @r"
    +---------+--------------------------------------------------------------------------------------------------------+
    | nothing | failed                                                                                                 |
    +---------+--------------------------------------------------------------------------------------------------------+
    |         | {model: efficientnet_lite0, error: not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF} |
    +---------+--------------------------------------------------------------------------------------------------------+
    ");
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
    assert!(
        shown.contains("1 row(s) in set, ") && shown.contains("; 1 failed (image_error(image) says why, "),
        "{shown}"
    );
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
