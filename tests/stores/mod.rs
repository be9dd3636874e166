//! Remote files, through the real binary, a real S3 API and plain HTTP; and the error messages.

mod errors;
mod formats;
mod webdataset;

use std::path::Path;

use crate::support::s3::S3;

/// The file name without its folders.
const NAME: &str = "regexp_replace(path, '.*/', '') AS file";

#[test]
fn a_bucket_is_a_table_of_images() {
    let server = S3::of_photos();
    let counted = server.run("SELECT count(*) AS photos FROM read_images('s3://photos/')").stdout();
    assert_eq!(counted, "photos\n20\n");
    let sql = "SELECT path, size > 0 AS sized, etag IS NOT NULL AS tagged, width, height, format
               FROM 's3://photos/*.png' WHERE path LIKE '%coffee%'";
    assert_eq!(
        server.run(sql).stdout(),
        "path,sized,tagged,width,height,format\ns3://photos/coffee.png,true,true,600,400,png\n"
    );
    let sql = format!(
        "SELECT {NAME}, classify(image)['label'] AS label
         FROM read_images('s3://photos/{{lion,coffee}}.{{jpg,png}}') ORDER BY file"
    );
    let error = server.run(&sql).error();
    assert!(error.contains("there is no file 's3://photos/lion.png'"), "{error}");
    let sql = sql.replace("{lion,coffee}.{jpg,png}", "{lion.jpg,coffee.png}");
    assert_eq!(server.run(&sql).stdout(), "file,label\ncoffee.png,espresso\nlion.jpg,lion\n");
}

#[test]
fn options_configure_a_bucket_without_environment_variables() {
    let server = S3::of_photos();
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 's3://photos/' OPTIONS ({});
         SELECT {NAME} FROM images WHERE path LIKE '%lion%'",
        server.options()
    );
    let here = tempfile::tempdir().unwrap();
    let output =
        crate::support::process::run_in(here.path(), &["-q", "--format", "csv", "-c", &sql]).stdout();
    assert_eq!(output, "file\nlion.jpg\n");
}

#[test]
fn widths_need_one_range_request_for_each_file() {
    let mut server = S3::of_photos();
    let sql = "SELECT count(*) AS wide FROM 's3://photos/*.jpg' WHERE width > 300";
    server.run(sql).stdout();
    let reads: Vec<_> = server.requests().into_iter().filter(|line| !line.contains("list-type")).collect();
    assert!(!reads.is_empty());
    assert!(reads.iter().all(|line| line.contains("bytes=")), "{reads:?}");
    assert!(reads.iter().any(|line| line.ends_with("bytes=0-16383")), "{reads:?}");
    server.run("SELECT count(*) FROM 's3://photos/*.jpg'").stdout();
    assert!(server.requests().iter().all(|line| line.contains("list-type")));
}

#[test]
fn patterns_match_across_folders() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["2023/cats/1.jpg", "2024/cats/1.jpg", "2024/cats/2.png", "2024/dogs/1.jpg", "2024/notes.txt"]
    {
        write(folder.path(), name, b"");
    }
    let server = S3::of(folder.path());
    for (location, expected) in [
        ("**/*.jpg", "2023/cats/1.jpg 2024/cats/1.jpg 2024/dogs/1.jpg"),
        ("{2023,2024}/cats/*", "2023/cats/1.jpg 2024/cats/1.jpg 2024/cats/2.png"),
        ("{2024..2025}/**/[12].{jpg,png}", "2024/cats/1.jpg 2024/cats/2.png 2024/dogs/1.jpg"),
        ("2024", "2024/cats/1.jpg 2024/cats/2.png 2024/dogs/1.jpg"),
        ("2024/dogs/{1..1}.jpg", "2024/dogs/1.jpg"),
    ] {
        let sql = format!(
            "SELECT string_agg(substr(path, 13), ' ' ORDER BY path) AS p FROM read_images('s3://photos/{location}')"
        );
        assert_eq!(server.run(&sql).stdout(), format!("p\n{expected}\n"), "{location}");
    }
}

#[test]
fn files_over_http_must_be_named() {
    let server = S3::of_photos();
    let http = server.http();
    let classified = |location: &str| {
        server.run(&format!(
            "SELECT {NAME}, width, classify(image)['label'] AS label
             FROM read_images('{http}/{location}') ORDER BY file"
        ))
    };
    assert_eq!(classified("lion.jpg").stdout(), "file,width,label\nlion.jpg,256,lion\n");
    let several = classified("{lion.jpg,coffee.png}").stdout();
    assert_eq!(several, "file,width,label\ncoffee.png,600,espresso\nlion.jpg,256,lion\n");
    let error = classified("").error();
    assert!(error.contains("nothing can be listed over HTTP; name each file"), "{error}");
    let error = classified("tiger.jpg").error();
    assert!(error.contains("there is no such file or folder"), "{error}");
    assert!(classified("lion.jpg?x=1").error().contains("the query behind '?'"));
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
