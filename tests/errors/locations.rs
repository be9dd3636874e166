//! Locations that give no image: what is said, and what is read instead.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::process::{Outcome, run_in};
use crate::support::{home, photos};

/// A folder with `photos/`: two JPEGs, a PNG, and one more JPEG in a folder.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("photos/2024")).unwrap();
    for name in ["a.jpg", "b.jpg", "2024/d.jpg"] {
        fs::copy(photos().join("lion.jpg"), folder.path().join("photos").join(name)).unwrap();
    }
    fs::copy(photos().join("coffee.png"), folder.path().join("photos/c.png")).unwrap();
    folder
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn csv(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

/// The only line on standard error, without time and level, of a query that counts the images at a location.
fn warning(folder: &TempDir, location: &str) -> String {
    let outcome = csv(folder.path(), &format!("SELECT count(*) AS images FROM read_images('{location}')"));
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "images\n0\n"), "{outcome:?}");
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{}", outcome.stderr);
    // Behind time and query, and the place in the program.
    let (_, line) = lines[0].split_once("}: ").unwrap();
    line.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn a_pattern_without_files_says_what_its_folder_holds() {
    let folder = folder();
    write(&folder, "photos/.hidden/e.jpg", b"");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let warning = |location| warning(&folder, location);
    insta::assert_snapshot!(warning("photos/*.jpeg"), @"photos/*.jpeg matches no file; photos/ holds 3 files: 2 .jpg, 1 .png");
    insta::assert_snapshot!(warning("photos/**/*.jpeg"), @"photos/**/*.jpeg matches no file; photos/ holds 4 files: 3 .jpg, 1 .png");
    insta::assert_snapshot!(warning("fotos/*.jpg"), @"fotos/*.jpg matches no file; there is no folder fotos/; did you mean 'photos'?");
    insta::assert_snapshot!(warning("photos/2025/*.jpg"), @"photos/2025/*.jpg matches no file; there is no folder photos/2025/; did you mean 'photos/2024'?");
    insta::assert_snapshot!(warning("photos/cats/tabby/*.jpg"), @"photos/cats/tabby/*.jpg matches no file; there is no folder photos/cats/tabby/; 'photos' has no 'cats'");
    insta::assert_snapshot!(warning("*.jpg"), @"*.jpg matches no file; the current folder holds folders, but no files; '**' matches across folders");
    insta::assert_snapshot!(warning("empty/*.jpg"), @"empty/*.jpg matches no file; empty/ holds no files");
    insta::assert_snapshot!(warning("empty"), @"empty holds no files");
}

#[test]
fn a_partition_without_files_is_no_reason_to_warn() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "photos/label=cat/a.jpg", b"");
    let sql = "SELECT count(*) AS images FROM read_images('photos') WHERE label = 'dog'";
    assert_eq!(csv(folder.path(), sql).stdout(), "images\n0\n");
}

#[test]
fn a_misspelt_name_is_followed_by_the_nearest() {
    let folder = folder();
    let error = |from: &str| csv(folder.path(), &format!("SELECT path FROM {from}")).error();
    insta::assert_snapshot!(error("read_images('fotos/')"), @"Error: images 'fotos/': there is no such file or folder; did you mean 'photos'?");
    insta::assert_snapshot!(error("'photos/a.jpeg'"), @"Error: images 'photos/a.jpeg': there is no such file or folder; did you mean 'photos/a.jpg'?");
    insta::assert_snapshot!(error("'Photo/'"), @"Error: images 'Photo/': there is no such file or folder; did you mean 'photos'?");
    insta::assert_snapshot!(error("read_images('photos/dogs/poodles')"), @"Error: images 'photos/dogs/poodles': there is no such file or folder; 'photos' has no 'dogs'");
    insta::assert_snapshot!(error("read_images('zebras')"), @"Error: images 'zebras': there is no such file or folder");
    let create = "CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 'fotos/'";
    insta::assert_snapshot!(csv(folder.path(), create).error(), @"Error: images 'fotos/': there is no such file or folder; did you mean 'photos'?");
}

#[test]
fn formats_that_are_not_decoded_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "phone/1.HEIC", b"\0\0\0\x18ftypheic");
    write(&folder, "phone/2.heic", b"\0\0\0\x18ftypheic");
    insta::assert_snapshot!(warning(&folder, "phone"), @"phone holds no images, but 2 files: 2 .heic; HEIC is not supported; convert it first");
    insta::assert_snapshot!(warning(&folder, "phone/*.jpg"), @"phone/*.jpg matches no file; phone/ holds 2 files: 2 .heic; HEIC is not supported; convert it first");
    let error = csv(folder.path(), "SELECT path FROM 'phone/'").error();
    insta::assert_snapshot!(error, @"Error: images 'phone/': it holds neither images nor data, but 2 files: 2 .heic; HEIC is not supported; convert it first; name the extension, or read images of any name with read_images");

    write(&folder, "mixed/a.jpg", b"\0\0\0\x18ftypavif\0\0\0\0");
    write(&folder, "mixed/b.jpg", b"<?xml version='1.0'?><svg/>");
    write(&folder, "mixed/c.jpg", b"neither");
    let sql = "SELECT regexp_replace(path, '.*/', '') AS file, classify(image)['error'] AS error FROM read_images('mixed') ORDER BY file";
    insta::assert_snapshot!(csv(folder.path(), sql).stdout(), @r#"
    file,error
    a.jpg,AVIF is not supported; convert it first
    b.jpg,SVG is not supported; convert it first
    c.jpg,"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    "#);
}

#[test]
fn the_summary_counts_skipped_files_that_are_not_hidden() {
    let folder = folder();
    for name in ["notes.txt", "raw.nef", ".DS_Store", "_tmp/x.txt"] {
        write(&folder, &format!("photos/{name}"), b"");
    }
    let shown = |from: &str| run_in(folder.path(), &["-c", &format!("SELECT count(*) FROM {from}")]).stdout();
    let all = shown("read_images('photos')");
    assert!(all.contains(" seconds; 2 file(s) skipped, no images by name."), "{all}");
    let matching = shown("read_images('photos/*.jpg')");
    assert!(!matching.contains("skipped"), "{matching}");
    let create = "CREATE TABLE t AS SELECT path FROM read_images('photos')";
    let created = run_in(folder.path(), &["-c", create]).stdout();
    assert!(created.contains("2 file(s) skipped"), "{created}");
}

#[test]
fn a_pattern_without_stars_across_folders_does_not_enter_them() {
    let folder = folder();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("photos/loop")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("photos/2024/loop")).unwrap();
    let count = |location: &str| {
        csv(folder.path(), &format!("SELECT count(*) AS images FROM read_images('{location}')"))
    };
    assert_eq!(count("photos/*.jpg").stdout(), "images\n2\n");
    assert_eq!(count("photos/*/*.jpg").stdout(), "images\n1\n");
    let all = count("photos/**/*.jpg");
    assert!(all.stderr.contains("× link that loops"), "{}", all.stderr);
}

#[test]
fn a_tilde_is_the_home_folder() {
    let home_folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(home().join("models/efficientnet_lite0"), home_folder.path().join("model"))
        .unwrap();
    let run = |sql: &str| {
        let mut command =
            crate::support::process::seequel(elsewhere.path(), &["-q", "--format", "csv", "-c", sql]);
        Outcome::of(command.env("HOME", home_folder.path()))
    };
    for from in ["read_images('~/photos/*.jpg')", "'~/photos/*.jpg'", "'~/photos/*.{jpeg,jpg}'"] {
        assert_eq!(run(&format!("SELECT count(*) AS n FROM {from}")).stdout(), "n\n2\n", "{from}");
    }
    let sql = "COPY (SELECT path FROM '~/photos') TO '~/names.csv';
        CREATE EXTERNAL TABLE names STORED AS CSV LOCATION '~/names.csv';
        CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '~/photos';
        SELECT (SELECT count(*) FROM names) AS names, (SELECT count(*) FROM images) AS images;
        SELECT count(*) AS n FROM '~/names.csv';
        CREATE MODEL m FROM '~/model/model.onnx';
        SELECT classify(image, 'm')['label'] AS label FROM '~/photos/a.jpg'";
    let expected = "count\n4\nnames,images\n4,4\nn\n4\nlabel\nlion\n";
    assert_eq!(run(sql).stdout(), expected);
    assert!(home_folder.path().join("names.csv").exists());
}

#[test]
fn folders_in_from_are_read_by_what_they_hold() {
    let folder = folder();
    fs::create_dir(folder.path().join("tables")).unwrap();
    write(&folder, "tables/1.csv", b"n\n1\n");
    write(&folder, "tables/2.csv", b"n\n2\n");
    write(&folder, "both/a.jpg", b"");
    write(&folder, "both/a.csv", b"n\n1\n");
    write(&folder, "texts/a.txt", b"");
    let count = |from: &str| csv(folder.path(), &format!("SELECT count(*) AS n FROM {from}"));
    for (from, expected) in [
        ("'photos/'", 4),
        ("'photos'", 4),
        ("'./photos'", 4),
        ("'photos/*'", 3),
        ("'photos/*.{jpg,png}'", 3),
        ("'photos/**'", 4),
        ("'tables/'", 2),
        ("'tables/*'", 2),
        ("'both/*.csv'", 1),
        ("'both/*.jpg'", 1),
    ] {
        assert_eq!(count(from).stdout(), format!("n\n{expected}\n"), "{from}");
    }
    insta::assert_snapshot!(count("'both/'").error(), @"Error: images 'both/': it holds images (1 file: 1 .jpg) and data (1 file: 1 .csv); name the extension, as in 'folder/*.csv', or read the images with read_images('both/')");
    insta::assert_snapshot!(count("'texts/'").error(), @"Error: images 'texts/': it holds neither images nor data, but 1 file: 1 .txt; name the extension, or read images of any name with read_images");
    assert!(count("texts").error().contains("'datafusion.public.texts' not found"));
    // Without quotes it is the name of a table.
    assert!(count("photos").error().contains("'datafusion.public.photos' not found"));
    let create = "CREATE TABLE photos AS SELECT 7 AS n; SELECT n FROM photos; SELECT n FROM 'photos'";
    assert_eq!(csv(folder.path(), create).stdout(), "n\n7\nn\n7\n");
    let create =
        "CREATE EXTERNAL TABLE photos STORED AS IMAGES LOCATION 'photos'; SELECT count(*) AS n FROM photos";
    assert_eq!(csv(folder.path(), create).stdout(), "n\n4\n");
}

#[test]
fn a_folder_of_data_does_not_stand_in_the_way_of_a_table_of_its_name() {
    let folder = folder();
    write(&folder, "t/a.csv", b"n\n1\n");
    let sql = "SELECT n FROM 't'; CREATE TABLE t AS SELECT 2 AS n; SELECT n FROM t; SELECT n FROM 't/'";
    assert_eq!(csv(folder.path(), sql).stdout(), "n\n1\nn\n2\nn\n1\n");
    let error = csv(folder.path(), "SELECT n FROM t").error();
    assert!(error.contains("'datafusion.public.t' not found"), "{error}");
}
