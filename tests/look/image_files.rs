//! `COPY … STORED AS IMAGES`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use datafusion::object_store::memory::InMemory;
use datafusion::object_store::{ObjectStore, ObjectStoreExt};
use futures::TryStreamExt;
use url::Url;

use crate::support::process::{Outcome, run_in, seequel};
use crate::support::s3::S3;
use crate::support::{engine, photos};

/// All files below a folder, relative to it and sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

fn copy(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

fn format_of(file: &Path) -> image::ImageFormat {
    image::guess_format(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn thumbnails_are_written_one_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "COPY (SELECT path, thumbnail(image, 64) AS small, width FROM read_images('{}')) TO 'thumbs/' STORED AS IMAGES",
        photos().display()
    );
    assert_eq!(copy(folder.path(), &sql).stdout(), "count\n20\n");
    let written = files(&folder.path().join("thumbs"));
    let names = fs::read_dir(photos()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut expected: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    expected.sort();
    assert_eq!(written, expected);
    for name in written {
        let image = image::open(folder.path().join("thumbs").join(&name)).unwrap();
        assert_eq!(image.width().max(image.height()), 64, "{name}");
    }
    // What is written can be read, and written again: nothing is left over beside the files.
    let again = "COPY (SELECT path, image FROM read_images('thumbs/')) TO 'thumbs/' STORED AS IMAGES";
    let error = copy(folder.path(), again).error();
    assert!(error.contains("the folder holds 20 files"), "{error}");
    let again = format!("{again} OPTIONS ('mode' 'overwrite')");
    assert_eq!(copy(folder.path(), &again).stdout(), "count\n20\n");
    assert_eq!(files(&folder.path().join("thumbs")).len(), 20);
    let more = again.replace("overwrite", "append");
    let error = copy(folder.path(), &more).error();
    assert!(error.contains("thumbs/") && error.contains("exists already"), "{error}");
    assert_eq!(files(&folder.path().join("thumbs")).len(), 20);
}

#[test]
fn extensions_follow_the_content_and_names_that_are_taken_get_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "COPY (SELECT 'same.png' AS name, path, convert(image, format) AS image
               FROM (SELECT path, image, unnest(['jpeg', 'png', 'webp', 'gif', 'bmp', 'tiff', 'png']) AS format FROM '{}/lion.jpg'))
         TO 'out' STORED AS IMAGES",
        photos().display()
    );
    assert_eq!(copy(folder.path(), &sql).stdout(), "count\n7\n");
    let out = folder.path().join("out");
    let expected = ["same-2.png", "same.bmp", "same.gif", "same.jpg", "same.png", "same.tiff", "same.webp"];
    assert_eq!(files(&out), expected);
    for name in expected {
        let by_name = image::ImageFormat::from_path(name).unwrap();
        assert_eq!(format_of(&out.join(name)), by_name, "{name}");
    }
}

#[test]
fn hostile_names_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let names = "('../../escaped'), ('/etc/escaped'), ('a/../../escaped'), ('..'), ('.hidden'), ('cats/tom'), ('line\nbreak'), ('C:\\x\\win')";
    let sql = format!(
        "COPY (SELECT entry AS name, image FROM '{}/lion.jpg', (VALUES {names}) AS n(entry)) TO 'deep/er/out/' STORED AS IMAGES",
        photos().display()
    );
    assert_eq!(copy(folder.path(), &sql).stdout(), "count\n8\n");
    let written = files(folder.path());
    assert!(written.iter().all(|path| path.starts_with("deep/er/out/")), "{written:?}");
    let names: Vec<_> = written.iter().map(|path| path.trim_start_matches("deep/er/out/")).collect();
    assert_eq!(
        names,
        [
            "a/escaped.jpg",
            "cats/tom.jpg",
            "escaped-2.jpg",
            "escaped.jpg",
            "hidden.jpg",
            "line-break.jpg",
            "unnamed.jpg",
            "win.jpg"
        ]
    );
}

#[test]
fn each_label_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "COPY (SELECT path, image, classify(image)['label'] AS label FROM read_images('{}/{{lion.jpg,coffee.png}}'))
         TO 'sorted/' STORED AS IMAGES PARTITIONED BY (label);
         SELECT label, width FROM read_images('sorted/') ORDER BY label",
        photos().display()
    );
    let shown = copy(folder.path(), &sql).stdout();
    assert_eq!(shown, "count\n2\nlabel,width\nespresso,600\nlion,256\n");
    assert_eq!(files(&folder.path().join("sorted")), ["label=espresso/coffee.png", "label=lion/lion.jpg"]);
    let bytes = |path: &Path| fs::read(path).unwrap();
    assert_eq!(bytes(&folder.path().join("sorted/label=lion/lion.jpg")), bytes(&photos().join("lion.jpg")));
}

#[test]
fn rows_without_an_image_are_reported_and_can_fail_the_query() {
    let folder = tempfile::tempdir().unwrap();
    let copy_of = "COPY (SELECT title AS name, CASE n WHEN 1 THEN image WHEN 2 THEN arrow_cast('no image', 'BinaryView') END AS image
               FROM 'lion.jpg', (VALUES (1, 'good'), (2, 'text'), (3, 'gone')) AS t(n, title) ORDER BY n) TO 'out/' STORED AS IMAGES";
    fs::copy(photos().join("lion.jpg"), folder.path().join("lion.jpg")).unwrap();
    let outcome = copy(folder.path(), copy_of);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "count\n1\n"));
    for expected in
        ["rows without an image were not written", "rows=2", "written=1", "first=text", "not an image"]
    {
        let warning = console::strip_ansi_codes(&outcome.stderr);
        assert!(warning.contains(expected), "{expected}: {warning}");
    }
    assert_eq!(files(&folder.path().join("out")), ["good.jpg"]);
    let failing = format!("SET inference.on_error = 'fail'; {copy_of}").replace("'out/'", "'none/'");
    let error = copy(folder.path(), &failing).error();
    assert!(error.contains("text can't be written: its bytes are not an image"), "{error}");
    assert!(!folder.path().join("none/good.jpg").exists());
}

#[test]
fn statements_that_cannot_work_are_errors_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let from = format!("FROM '{}/lion.jpg'", photos().display());
    for (query, target, expected) in [
        ("image", "'out/' STORED AS IMAGES", "names files by the column 'name' or the first text column"),
        (
            "path",
            "'out/' STORED AS IMAGES",
            "the query has none; add one, such as image or thumbnail(image, 256)",
        ),
        (
            "path, image, resize(image, 9, 9) AS small",
            "'out/' STORED AS IMAGES",
            "has 'image' and 'small'; select one",
        ),
        ("path, image", "'out.jpg' STORED AS IMAGES", "'out.jpg' is a file; write 'folder/'"),
        ("path, image", "'out/' STORED AS IMAGES OPTIONS (quality '80')", "has no option 'quality'"),
    ] {
        let error = copy(folder.path(), &format!("COPY (SELECT {query} {from}) TO {target}")).error();
        assert!(error.contains(expected), "{target}: {error}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn files_are_written_to_buckets() {
    let server = S3::of_photos();
    let sql = "COPY (SELECT path, thumbnail(image, 32) AS image FROM read_images('s3://photos/{lion.jpg,coffee.png}'))
               TO 's3://photos/small/' STORED AS IMAGES;
               SELECT regexp_replace(path, '.*photos/', '') AS path, width FROM read_images('s3://photos/small/') ORDER BY path";
    assert_eq!(server.run(sql).stdout(), "count\n2\npath,width\nsmall/coffee.png,32\nsmall/lion.jpg,32\n");
}

#[test]
fn a_table_is_copied_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '{}';\nCOPY images TO 'copy/' STORED AS IMAGES;",
        photos().display()
    );
    let mut command = seequel(folder.path(), &["-q", "--no-rc", "--format", "csv", "-m", "256m"]);
    assert_eq!(Outcome::with_input(&mut command, &sql).stdout(), "count\n20\n");
    for name in files(&folder.path().join("copy")) {
        let bytes = fs::read(folder.path().join("copy").join(&name)).unwrap();
        assert_eq!(bytes, fs::read(photos().join(&name)).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn files_are_written_to_any_object_store() {
    let engine = engine().await;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    engine.context().register_object_store(&Url::parse("memory://bucket").unwrap(), Arc::clone(&store));
    let sql = "COPY (SELECT path, image FROM images WHERE path LIKE '%/l%') TO 'memory://bucket/a b/' STORED AS IMAGES";
    engine.sql(sql).await.unwrap().collect().await.unwrap();
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(objects.iter().map(|object| object.location.as_ref()).collect::<Vec<_>>(), ["a b/lion.jpg"]);
    let written = store.get(&objects[0].location).await.unwrap().bytes().await.unwrap();
    assert_eq!(written, fs::read(photos().join("lion.jpg")).unwrap());
}
