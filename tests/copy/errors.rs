//! The errors file: `COPY … OPTIONS ('errors' 'errors.parquet')`.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::{entries, run};
use crate::support::photos;
use crate::support::process::run_in;

const OPTION: &str = "OPTIONS ('errors' 'errors.parquet')";

/// Two photos, text named as an image, half a photo, and a file too large to be read.
fn mixed_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lion = fs::read(photos().join("lion.jpg")).unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join("in").join(name), bytes).unwrap();
    write("a.jpg", &lion);
    write("b.jpg", &lion);
    write("cut.jpg", &lion[..lion.len() / 2]);
    write("text.jpg", b"not a photo");
    fs::File::create(folder.path().join("in/vast.jpg")).unwrap().set_len(300 << 20).unwrap();
    folder
}

fn rows(folder: &TempDir, sql: &str) -> String {
    run_in(folder.path(), &["-q", "--format", "csv", "-c", sql]).stdout
}

const LISTED: &str =
    "SELECT regexp_replace(path, '.*/', '') AS file, stage, model, error FROM 'errors.parquet'
                      ORDER BY file, model";

#[test]
fn failed_rows_are_listed_beside_results_without_room_for_them() {
    let folder = mixed_folder();
    let copy = format!("COPY (SELECT embed(image) AS v FROM read_images('in')) TO 'v.parquet' {OPTION}");
    let shown = run_in(folder.path(), &["-c", &copy]).stdout;
    assert!(shown.contains("; 3 failed; 3 in the errors file."), "{shown}");
    insta::assert_snapshot!(rows(&folder, LISTED), @r#"
    file,stage,model,error
    cut.jpg,decode,,truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file
    text.jpg,decode,,"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    vast.jpg,read,,could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)
    "#);
    assert_eq!(rows(&folder, "SELECT count(*) AS n, count(v) AS v FROM 'v.parquet'"), "n,v\n5,2\n");
    let found: Vec<_> = entries(folder.path()).into_iter().filter(|name| !name.starts_with("in")).collect();
    assert_eq!(found.iter().filter(|name| !name.starts_with(".cache")).count(), 2, "{found:?}");

    // With several calls, and where rows are left out, each failure is listed once.
    let copy = format!(
        "SET inference.on_error = 'skip';
         COPY (SELECT name, embed(image) AS v, classify(image, 'efficientnet_lite2') AS c FROM read_images('in'))
         TO 'v.parquet' {OPTION}"
    );
    let listed = rows(&folder, LISTED);
    rows(&folder, &copy);
    assert_eq!(rows(&folder, LISTED), listed);
    assert_eq!(rows(&folder, "SELECT count(*) AS n FROM 'v.parquet'"), "n\n2\n");
}

#[test]
fn failures_of_expressions_are_listed_without_a_path() {
    let folder = mixed_folder();
    let copy = |select: &str| {
        let sql = format!("COPY (SELECT {select} AS x FROM read_images('in/[ct]*')) TO 'x.parquet' {OPTION}");
        rows(&folder, &sql);
        rows(&folder, "SELECT path, stage, model FROM 'errors.parquet'")
    };
    assert_eq!(copy("thumbnail(image, 20)"), "path,stage,model\n,function,\n,function,\n");
    assert_eq!(copy("CASE WHEN size > 0 THEN embed(image) END"), "path,stage,model\n,decode,\n,decode,\n");
    assert_eq!(copy("size"), "path,stage,model\n", "nothing failed");
    // The column `path` names their rows, where the query has it.
    let copy = |select: &str| {
        let from = "(SELECT path AS p, size, image FROM read_images('in/[ct]*'))";
        rows(&folder, &format!("COPY (SELECT {select} AS x, p FROM {from}) TO 'x.parquet' {OPTION}"));
        rows(
            &folder,
            "SELECT regexp_replace(path, '.*/', '') AS file, stage FROM 'errors.parquet' ORDER BY 1",
        )
    };
    for (select, stage) in [
        ("thumbnail(image, 20)", "function"),
        ("phash(image)", "function"),
        ("CASE WHEN size > 0 THEN embed(image) END", "decode"),
        ("CASE WHEN size > 20 THEN thumbnail(image, 20) ELSE resize(image, 5, 5) END", "function"),
        ("embed(crop(image, 0, 0, 50, 50))", "function"),
    ] {
        let expected = format!("file,stage\ncut.jpg,{stage}\ntext.jpg,{stage}\n");
        assert_eq!(copy(select), expected, "{select}");
    }
}

/// Two operators infer from one image: what the lower one could not decode is not counted by the upper one again.
#[test]
fn an_image_that_two_operators_cannot_decode_fails_once() {
    let folder = mixed_folder();
    let query = "SELECT name, embed(image, 'efficientnet_lite2') AS v FROM read_images('in')
                 WHERE classify(image)['label'] IS NULL OR name < 'c'";
    let plan = rows(&folder, &format!("EXPLAIN {query}"));
    assert_eq!(plan.matches("InferExec").count(), 2, "{plan}");
    for on_error in ["null", "skip"] {
        let copy = format!("SET inference.on_error = '{on_error}'; COPY ({query}) TO 'v.parquet' {OPTION}");
        let limited = format!("SET inference.max_errors = 3; {copy}");
        assert_eq!(rows(&folder, &limited), if on_error == "skip" { "count\n2\n" } else { "count\n5\n" });
        let listed =
            rows(&folder, "SELECT regexp_replace(path, '.*/', '') AS file FROM 'errors.parquet' ORDER BY 1");
        assert_eq!(listed, "file\ncut.jpg\ntext.jpg\nvast.jpg\n", "{on_error}");
    }
}

/// A function that can't decode an image, and what says why.
#[test]
fn an_image_that_a_function_cannot_decode_fails_once() {
    let folder = mixed_folder();
    let listed = |query: &str| {
        rows(&folder, &format!("SET inference.max_errors = 3; COPY ({query}) TO 'v.parquet' {OPTION}"));
        rows(
            &folder,
            "SELECT regexp_replace(path, '.*/', '') AS file, stage FROM 'errors.parquet' ORDER BY file, stage",
        )
    };
    let both = "SELECT name, thumbnail(image, 20) AS t, phash(image) AS h, image_error(image) AS e FROM read_images('in')";
    let of_error = "file,stage\ncut.jpg,decode\ntext.jpg,decode\nvast.jpg,read\n";
    assert_eq!(listed(both), of_error);
    let found = "SELECT name, t IS NULL AS none, h IS NULL AS unhashed, e IS NULL AS well FROM 'v.parquet' ORDER BY name";
    insta::assert_snapshot!(rows(&folder, found), @r"
    name,none,unhashed,well
    a.jpg,false,false,true
    b.jpg,false,false,true
    cut.jpg,true,true,false
    text.jpg,true,true,false
    vast.jpg,true,true,false
    ");
    // Nor does what reads the function's NULL report it again.
    assert_eq!(
        listed("SELECT name, path, embed(thumbnail(image, 20)) AS v FROM read_images('in')"),
        of_error.replace("decode", "function")
    );
    assert_eq!(
        listed(
            "SELECT name, crop(image, 9000, 0, 9001, 1) AS c, image_error(image) AS e FROM read_images('in/a*')"
        ),
        "file,stage\na.jpg,function\n"
    );
    let fail = format!("SET inference.on_error = 'fail'; {both}");
    let error = run(folder.path(), &fail.replace("'in'", "'in/cut.jpg'")).error();
    assert!(error.contains("cut.jpg: truncated or damaged jpeg"), "{error}");
}

#[test]
fn samples_of_shards_are_listed_by_their_names() {
    let folder = mixed_folder();
    let mut shard = tar::Builder::new(fs::File::create(folder.path().join("000.tar")).unwrap());
    for name in ["a.jpg", "cut.jpg", "text.jpg"] {
        shard.append_path_with_name(folder.path().join("in").join(name), name).unwrap();
    }
    shard.into_inner().unwrap();
    let copy = format!(
        "CREATE EXTERNAL TABLE shards STORED AS WEBDATASET LOCATION '000.tar';
         COPY (SELECT classify(image)['label'] AS label FROM shards) TO 'l.parquet' {OPTION}"
    );
    rows(&folder, &copy);
    let listed =
        "SELECT regexp_replace(path, '.*/000', '000') AS file, stage FROM 'errors.parquet' ORDER BY file";
    assert_eq!(rows(&folder, listed), "file,stage\n000.tar/cut,decode\n000.tar/text,decode\n");
}

/// Rows that fail in the end and other reasons for an end.
#[test]
fn a_statement_that_failed_rows_end_lists_them() {
    let folder = mixed_folder();
    let copy = |settings: &str, query: &str| {
        run(folder.path(), &format!("{settings}; COPY ({query}) TO 'v.parquet' {OPTION}")).error()
    };
    let listed = || rows(&folder, "SELECT count(*) AS n FROM 'errors.parquet'");
    let embed = "SELECT embed(image) AS v FROM read_images('in')";
    let error = copy("SET inference.max_errors = 1", embed);
    assert!(error.contains("; 'errors.parquet' lists what failed until then"), "{error}");
    assert!(["n\n2\n", "n\n3\n"].contains(&listed().as_str()), "{}", listed());
    for (query, files) in [
        (embed, ""),
        ("SELECT thumbnail(image, 20) AS v, path FROM read_images('in/[ct]*')", ""),
        ("SELECT CASE WHEN size > 0 THEN embed(image) END AS v FROM read_images('in/[ct]*')", ""),
        ("SELECT size FROM read_images('in')", "loop"),
    ] {
        if !files.is_empty() {
            symlink(".", folder.path().join("in").join(files)).unwrap();
        }
        fs::remove_file(folder.path().join("errors.parquet")).unwrap();
        let error = copy("SET inference.on_error = 'fail'", query);
        assert!(error.contains("inference.on_error is 'fail'"), "{error}");
        assert_ne!(listed(), "n\n0\n", "{query}");
        assert!(!folder.path().join("v.parquet").exists());
    }
}

#[test]
fn insert_has_no_errors_file() {
    let folder = mixed_folder();
    let error = |options: &str| {
        let sql = format!(
            "CREATE EXTERNAL TABLE t (v VARCHAR) STORED AS PARQUET LOCATION 't/';
             INSERT INTO t SELECT classify(image)['label'] FROM read_images('in') OPTIONS ({options})"
        );
        run(folder.path(), &sql).error_line()
    };
    insta::assert_snapshot!(error("'errors' 'errors.parquet'"), @"Error: INSERT has no OPTIONS; COPY (…) TO 'folder/' OPTIONS ('mode' 'append', 'errors' 'errors.parquet') adds files to a table's folder, and lists the rows that failed");
    assert_eq!(error("errors 'errors.parquet'"), error("'errors' 'errors.parquet'"));
    // What it says to do instead.
    let sql = "CREATE EXTERNAL TABLE t (v VARCHAR) STORED AS PARQUET LOCATION 't/';
         INSERT INTO t VALUES ('a');
         COPY (SELECT classify(image)['label'] AS v FROM read_images('in')) TO 't/' STORED AS PARQUET
           OPTIONS ('mode' 'append', 'errors' 'errors.parquet');
         SELECT count(*) AS n FROM t; SELECT count(*) AS n FROM 'errors.parquet'";
    assert!(rows(&folder, sql).ends_with("n\n6\nn\n3\n"));
}

#[test]
fn rows_that_a_model_rejects_are_listed_with_it() {
    let folder = mixed_folder();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/lookup.onnx");
    let copy = format!(
        "CREATE MODEL lookup FROM '{model}';
         COPY (SELECT predict('lookup', value) AS p FROM (SELECT value, 'row ' || value AS path FROM range(998, 1002)) t)
         TO 'p.parquet' {OPTION}"
    );
    rows(&folder, &copy);
    let listed = rows(&folder, "SELECT path, stage, model FROM 'errors.parquet' ORDER BY path");
    assert_eq!(listed, "path,stage,model\nrow 1000,infer,lookup\nrow 1001,infer,lookup\n");
}

#[test]
fn entries_that_cannot_be_listed_are_listed_as_failures() {
    let folder = mixed_folder();
    symlink(".", folder.path().join("in/loop")).unwrap();
    symlink("nowhere", folder.path().join("in/gone.jpg")).unwrap();
    let query = "SELECT path FROM read_images('in')";
    let copy = format!("COPY ({query}) TO 'p.parquet' {OPTION}");
    let shown = run_in(folder.path(), &["-c", &copy]).stdout;
    assert!(
        shown.contains("; 2 not listed: 1 × link that loops, 1 × link to nothing; 2 in the errors file."),
        "{shown}"
    );
    insta::assert_snapshot!(rows(&folder, LISTED), @r"
    file,stage,model,error
    gone.jpg,list,,can't be listed: link to nothing
    loop,list,,can't be listed: link that loops
    ");
    let plan = rows(&folder, &format!("EXPLAIN ANALYZE {query}"));
    for metric in ["unlisted_entries=2", "unlisted_link_that_loops=1", "unlisted_link_to_nothing=1"] {
        assert!(plan.contains(metric), "{metric}: {plan}");
    }
    let fail = format!("SET inference.on_error = 'fail'; {query}");
    let error = run(folder.path(), &fail).error();
    assert!(
        error.contains("can't be listed: link ") && error.contains("(inference.on_error is 'fail')"),
        "{error}"
    );
    let error = run(folder.path(), &format!("SET inference.max_errors = 1; {query}")).error();
    assert!(error.contains("2 failed row(s) are more than inference.max_errors (1)"), "{error}");
}

#[test]
fn a_statement_that_fails_for_another_reason_leaves_the_old_errors_file() {
    let folder = mixed_folder();
    let copy = |divisor: &str| {
        format!(
            "COPY (SELECT embed(image) AS v, 1 / ({divisor}) AS one FROM read_images('in')) TO 'v.parquet' {OPTION}"
        )
    };
    rows(&folder, &copy("1"));
    let old = fs::read(folder.path().join("errors.parquet")).unwrap();
    let before = entries(folder.path());
    run(folder.path(), &copy("size - size")).error();
    assert_eq!(fs::read(folder.path().join("errors.parquet")).unwrap(), old);
    assert_eq!(entries(folder.path()), before, "nothing is left beside it");
    // EXPLAIN writes nothing.
    fs::remove_file(folder.path().join("errors.parquet")).unwrap();
    rows(&folder, &format!("EXPLAIN {}", copy("1")));
    assert!(!folder.path().join("errors.parquet").exists());
}

#[test]
fn errors_files_that_cannot_be_written() {
    let folder = mixed_folder();
    let error = |target: &str, errors: &str| {
        let sql = format!("COPY (SELECT 1 AS a) TO '{target}' OPTIONS ('errors' '{errors}')");
        run(folder.path(), &sql).error_line()
    };
    insta::assert_snapshot!(error("a.parquet", "errors.csv"), @"Error: 'errors.csv': the errors are written as one Parquet file; name it, such as 'errors.parquet'");
    insta::assert_snapshot!(error("a.parquet", "./a.parquet"), @"Error: './a.parquet': the option errors names the file of the results; name another");
    fs::write(folder.path().join("file"), "").unwrap();
    let shown = error("a.parquet", "file/errors.parquet");
    assert!(shown.contains("'file/errors.parquet': "), "{shown}");
    assert!(!folder.path().join("a.parquet").exists());
}

#[test]
fn rows_that_become_no_image_file_are_listed() {
    let folder = mixed_folder();
    let listed = |select: &str| {
        let copy =
            format!("COPY (SELECT {select} FROM read_images('in')) TO 'out/' STORED AS IMAGES {OPTION}");
        let copied = run_in(folder.path(), &["-q", "--format", "csv", "-c", &copy]).stdout;
        let listed = "SELECT regexp_replace(path, '.*/', '') AS file, stage, error FROM 'errors.parquet' ORDER BY 1, 2";
        format!("{copied}{}", rows(&folder, listed))
    };
    // Whole or not, what looks like a photo is written.
    insta::assert_snapshot!(listed("path, image"), @"
    count
    3
    file,stage,error
    text.jpg,write,its bytes are not an image of a known format
    vast.jpg,read,could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)
    ");
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    insta::assert_snapshot!(listed("path, thumbnail(image, 8) AS image"), @r#"
    count
    2
    file,stage,error
    cut.jpg,function,"thumbnail(image, max_side): truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file"
    text.jpg,function,"thumbnail(image, max_side): not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    vast.jpg,read,could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)
    "#);
    // A function of another's NULL adds nothing, and what nobody has listed is.
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    let select = "path, CASE WHEN name <> 'a.jpg' THEN thumbnail(crop(image, 0, 0, 9, 9), 8) END AS image";
    insta::assert_snapshot!(listed(select), @r#"
    count
    1
    file,stage,error
    a.jpg,write,its image is NULL
    cut.jpg,function,"crop(image, box): truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file"
    text.jpg,function,"crop(image, box): not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    vast.jpg,read,could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)
    "#);
    let failing = format!(
        "SET inference.on_error = 'fail';
         COPY (SELECT path, image FROM read_images('in/text.jpg')) TO 'none/' STORED AS IMAGES {OPTION}"
    );
    let error = run_in(folder.path(), &["-q", "-c", &failing]).error();
    assert!(error.contains("its bytes are not an image"), "{error}");
    assert!(error.contains("; 'errors.parquet' lists what failed until then"), "{error}");
    assert_eq!(rows(&folder, "SELECT stage FROM 'errors.parquet'"), "stage\nwrite\n");
}
