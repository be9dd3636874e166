//! The table from the outside: SQL over folders of small images.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::UInt32Type;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::TableProvider;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use image::DynamicImage;
use tempfile::TempDir;

use super::format::Format;
use super::samples;
use super::{IMAGE_TYPE, ImagesTable, ImagesTableFactory, Location, ReadImages, TYPE_METADATA_KEY};

fn session_with(config: SessionConfig, runtime: RuntimeEnvBuilder) -> SessionContext {
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime.build_arc().unwrap())
        .with_table_factory("IMAGES".to_string(), Arc::new(ImagesTableFactory))
        .build();
    let session = SessionContext::new_with_state(state);
    session.register_udtf("read_images", Arc::new(ReadImages));
    session
}

fn session() -> SessionContext {
    session_with(
        SessionConfig::new().with_target_partitions(1),
        RuntimeEnvBuilder::new(),
    )
}

/// Writes `name` below `folder`: an image of `width` × 32 pixels, of the format its extension tells.
fn write_image(folder: &Path, name: &str, width: u32) -> u64 {
    let format = if name.ends_with("png") {
        Format::Png
    } else {
        Format::Jpeg
    };
    let bytes = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(width, 32)), format);
    write(folder, name, &bytes);
    bytes.len() as u64
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A folder of three images and of files that are none.
fn photos() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_image(folder.path(), "a.jpg", 64);
    write_image(folder.path(), "b.PNG", 48);
    write_image(folder.path(), "sub/c.jpeg", 80);
    write(folder.path(), "notes.txt", b"no image");
    write(folder.path(), ".hidden/d.jpg", b"no image");
    folder
}

fn read_images(folder: &TempDir, rest: &str) -> String {
    format!("read_images('{}/{rest}')", folder.path().display())
}

async fn plan(session: &SessionContext, sql: &str) -> Result<Arc<dyn ExecutionPlan>> {
    session.sql(sql).await?.create_physical_plan().await
}

/// Runs `sql`; its rows as text, and the metrics of the scan.
async fn run(session: &SessionContext, sql: &str) -> Result<(Vec<String>, Metrics)> {
    let plan = plan(session, sql).await?;
    let batches = collect(Arc::clone(&plan), session.task_ctx()).await?;
    Ok((rows(&batches), Metrics(plan)))
}

/// Each row as its cells, separated by blanks.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let table = pretty_format_batches(batches).unwrap().to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    lines
        .map(|line| {
            line.replace('|', " ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

struct Metrics(Arc<dyn ExecutionPlan>);

impl Metrics {
    fn get(&self, name: &str) -> usize {
        let mut node = &self.0;
        while let Some(child) = node.children().first().copied() {
            node = child;
        }
        node.metrics()
            .unwrap()
            .sum_by_name(name)
            .map_or(0, |value| value.as_usize())
    }
}

/// The line of the scan in the plan of `sql`, without its location.
async fn explain(session: &SessionContext, sql: &str) -> Result<String> {
    let plan = plan(session, sql).await?;
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let line = text.lines().find(|line| line.contains("ImagesExec")).unwrap();
    Ok(line[line.find("projection").unwrap()..].to_string())
}

async fn fails(session: &SessionContext, sql: &str) -> String {
    match run(session, sql).await {
        Ok(_) => String::from("it succeeded"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn what_the_listing_knows_opens_no_file() -> Result<()> {
    let (session, folder) = (session(), photos());
    let images = read_images(&folder, "");
    let root = folder.path().display();

    let (counted, metrics) = run(&session, &format!("SELECT count(*) FROM {images}")).await?;
    assert_eq!(counted, ["3"]);
    assert_eq!(metrics.get("listed_files"), 3);
    assert_eq!(metrics.get("skipped_files"), 2);
    assert_eq!(metrics.get("opened_files"), 0);

    let sql = format!("SELECT path FROM {images} ORDER BY path");
    let (paths, metrics) = run(&session, &sql).await?;
    assert_eq!(
        paths,
        ["a.jpg", "b.PNG", "sub/c.jpeg"].map(|name| format!("{root}/{name}"))
    );
    assert_eq!(metrics.get("opened_files"), 0);
    assert_eq!(explain(&session, &sql).await?, "projection=[path], reads=none");

    let sql = format!("SELECT size > 0, modified > '2000-01-01', etag IS NOT NULL FROM {images} LIMIT 1");
    assert_eq!(run(&session, &sql).await?.0, ["true true true"]);
    Ok(())
}

#[tokio::test]
async fn sizes_take_headers_only() -> Result<()> {
    let session = session();
    let folder = tempfile::tempdir()?;
    let bytes = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
    write(folder.path(), "large.jpg", &[bytes, vec![0; 1 << 20]].concat());
    write(folder.path(), "text.jpg", b"<html>");
    write(folder.path(), "zero.jpg", b"");

    let sql = format!(
        "SELECT width, height, format FROM {} ORDER BY size DESC",
        read_images(&folder, "")
    );
    let (sizes, metrics) = run(&session, &sql).await?;
    assert_eq!(sizes, ["64 32 jpeg", "", ""]);
    assert_eq!(metrics.get("opened_files"), 2);
    assert!(
        metrics.get("bytes_read") < 20_000,
        "{}",
        metrics.get("bytes_read")
    );
    assert_eq!(metrics.get("unreadable_files"), 0);
    assert!(explain(&session, &sql).await?.contains("reads=headers"));
    Ok(())
}

#[tokio::test]
async fn images_come_as_the_bytes_of_their_files_and_are_read_once() -> Result<()> {
    let session = session();
    let folder = tempfile::tempdir()?;
    let size = write_image(folder.path(), "a.jpg", 64);
    write(folder.path(), "b.jpg", b"short");
    write(folder.path(), "c.jpg", b"");

    let sql = format!(
        "SELECT image, width FROM {} ORDER BY path",
        read_images(&folder, "")
    );
    let plan = plan(&session, &sql).await?;
    let batches = collect(Arc::clone(&plan), session.task_ctx()).await?;
    let images = batches[0].column(0).as_binary_view();
    for (row, name) in ["a.jpg", "b.jpg", "c.jpg"].into_iter().enumerate() {
        assert!(images.is_valid(row));
        assert_eq!(images.value(row), fs::read(folder.path().join(name))?);
    }
    let widths = batches[0].column(1).as_primitive::<UInt32Type>();
    assert_eq!(widths.iter().collect::<Vec<_>>(), [Some(64), None, None]);
    let metrics = Metrics(plan);
    assert_eq!(metrics.get("opened_files"), 3);
    assert_eq!(metrics.get("bytes_read") as u64, size + 5);
    Ok(())
}

#[tokio::test]
async fn limit_stops_listing_and_reading() -> Result<()> {
    let session = session();
    let folder = tempfile::tempdir()?;
    for index in 0..50 {
        write_image(folder.path(), &format!("{index}.jpg"), 16);
    }
    let sql = format!("SELECT image FROM {} LIMIT 3", read_images(&folder, ""));
    let (_, metrics) = run(&session, &sql).await?;
    assert_eq!((metrics.get("listed_files"), metrics.get("opened_files")), (3, 3));
    assert_eq!(
        explain(&session, &sql).await?,
        "projection=[image], reads=files, limit=3"
    );
    Ok(())
}

#[tokio::test]
async fn filters_on_the_listing_prune_files_before_they_are_read() -> Result<()> {
    let (session, folder) = (session(), photos());
    let sql = format!(
        "SELECT width FROM {} WHERE path LIKE '%.jp%g' AND size > 0 AND width > 70",
        read_images(&folder, "")
    );
    let (widths, metrics) = run(&session, &sql).await?;
    assert_eq!(widths, ["80"]);
    assert_eq!(metrics.get("opened_files"), 2);
    let explained = explain(&session, &sql).await?;
    assert!(
        explained.contains("filters=[size@1 > 0, path@0 LIKE %.jp%g]"),
        "{explained}"
    );

    let sql = format!(
        "SELECT image FROM {} WHERE path LIKE '%c.jpeg' LIMIT 1",
        read_images(&folder, "")
    );
    let (found, metrics) = run(&session, &sql).await?;
    assert_eq!((found.len(), metrics.get("opened_files")), (1, 1));
    assert!(explain(&session, &sql).await?.ends_with("limit=1"));
    Ok(())
}

#[tokio::test]
async fn what_a_pattern_or_name_picks_is_a_row_whatever_its_extension() -> Result<()> {
    let (session, folder) = (session(), photos());
    write_image(folder.path(), "100% [x]*.jpg", 24);
    for (rest, expected) in [
        ("*", 4),
        ("**/*", 5),
        ("*.txt", 1),
        ("notes.txt", 1),
        ("*.tiff", 0),
        ("sub", 1),
        ("100% [x]*.jpg", 1),
    ] {
        let sql = format!("SELECT count(*) FROM {}", read_images(&folder, rest));
        assert_eq!(run(&session, &sql).await?.0, [expected.to_string()], "{rest}");
    }
    let sql = format!("SELECT width FROM {}", read_images(&folder, "100% [x]*.jpg"));
    assert_eq!(run(&session, &sql).await?.0, ["24"]);
    Ok(())
}

#[tokio::test]
async fn folders_become_partition_columns() -> Result<()> {
    let (session, folder) = (session(), tempfile::tempdir()?);
    let root = folder.path().display();
    for name in [
        "label=cat/year=2024/a.jpg",
        "label=cat/year=2025/b.jpg",
        "label=größe 1/year=2024/c.jpg",
    ] {
        write_image(folder.path(), name, 16);
    }
    session
        .sql(&format!(
            "CREATE EXTERNAL TABLE pets STORED AS IMAGES LOCATION '{root}'"
        ))
        .await?;
    let (labels, _) = run(&session, "SELECT label, year FROM pets ORDER BY path").await?;
    assert_eq!(labels, ["cat 2024", "cat 2025", "größe 1 2024"]);

    let (found, metrics) = run(
        &session,
        "SELECT year, image FROM pets WHERE label = 'cat' AND year = '2024'",
    )
    .await?;
    assert_eq!(
        (
            found.len(),
            metrics.get("listed_files"),
            metrics.get("opened_files")
        ),
        (1, 1, 1)
    );
    assert_eq!(
        run(&session, "SELECT year FROM pets WHERE label = 'größe 1'")
            .await?
            .0,
        ["2024"]
    );
    assert_eq!(
        run(&session, "SELECT year FROM pets WHERE label = 'dog'")
            .await?
            .0,
        [""; 0]
    );

    // A file in no such folder is a row all the same.
    write_image(folder.path(), "stray.jpg", 16);
    assert_eq!(
        run(&session, "SELECT count(*), count(label) FROM pets").await?.0,
        ["4 3"]
    );

    let named =
        format!("CREATE EXTERNAL TABLE named STORED AS IMAGES PARTITIONED BY (label) LOCATION '{root}'");
    session.sql(&named).await?;
    assert_eq!(
        run(&session, "SELECT count(DISTINCT label) FROM named").await?.0,
        ["2"]
    );
    Ok(())
}

#[tokio::test]
async fn a_file_that_vanishes_leaves_its_row_with_a_null_image() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for index in 0..100 {
        write_image(folder.path(), &format!("{index}.jpg"), 16);
    }
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(1);
    let session = session_with(config, RuntimeEnvBuilder::new());
    let plan = plan(
        &session,
        &format!("SELECT image FROM {}", read_images(&folder, "")),
    )
    .await?;
    let mut stream = execute_stream(Arc::clone(&plan), session.task_ctx())?;
    // By the first row all files are listed, but only some of them can have been read.
    let first = stream.try_next().await?.unwrap();
    fs::remove_dir_all(folder.path())?;
    let rest: Vec<RecordBatch> = stream.try_collect().await?;

    let unreadable: usize = rest.iter().map(|batch| batch.column(0).null_count()).sum();
    assert_eq!(first.column(0).null_count(), 0);
    assert_eq!(rest.len(), 99);
    assert!(unreadable > 0);
    assert_eq!(Metrics(plan).get("unreadable_files"), unreadable);
    Ok(())
}

#[tokio::test]
async fn batches_are_bounded_by_bytes_and_rows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for index in 0..5 {
        write(folder.path(), &format!("{index}.jpg"), &vec![0; 5 << 20]);
    }
    let sql = format!("SELECT image FROM {}", read_images(&folder, ""));
    let batches = session().sql(&sql).await?.collect().await?;
    assert_eq!(
        batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(),
        [2, 2, 1]
    );

    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(3);
    let sql = format!("SELECT path FROM {}", read_images(&folder, ""));
    let batches = session_with(config, RuntimeEnvBuilder::new())
        .sql(&sql)
        .await?
        .collect()
        .await?;
    assert_eq!(
        batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(),
        [3, 2]
    );
    Ok(())
}

#[tokio::test]
async fn reads_within_the_memory_of_the_session() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for index in 0..8 {
        write(folder.path(), &format!("{index}.jpg"), &vec![0; 1 << 20]);
    }
    let sql = format!("SELECT image FROM {}", read_images(&folder, ""));
    let session_of = |bytes| {
        session_with(
            SessionConfig::new(),
            RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0),
        )
    };
    let read = session_of(2 << 20).sql(&sql).await?.collect().await?;
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 8);
    let refused = session_of(1 << 19)
        .sql(&sql)
        .await?
        .collect()
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("ImagesExec"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn an_empty_folder_is_an_empty_table_and_a_missing_one_an_error() -> Result<()> {
    let (session, folder) = (session(), tempfile::tempdir()?);
    let images = read_images(&folder, "");
    assert_eq!(
        run(&session, &format!("SELECT count(*) FROM {images}")).await?.0,
        ["0"]
    );
    let plan = plan(&session, &format!("SELECT path FROM {images}")).await?;
    folder.close()?;
    let error = collect(plan, session.task_ctx()).await.unwrap_err().to_string();
    assert!(error.ends_with("there is no such file or folder"), "{error}");
    Ok(())
}

#[tokio::test]
async fn statements_that_images_can_not_honour_are_refused() {
    let (session, folder) = (session(), photos());
    let root = folder.path().display();
    for (sql, reason) in [
        (
            format!("CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION '{root}' OPTIONS (glob '*.jpg')"),
            "unknown option",
        ),
        (
            format!("CREATE EXTERNAL TABLE t (x INT) STORED AS IMAGES LOCATION '{root}'"),
            "remove 'x'",
        ),
        (
            format!("CREATE EXTERNAL TABLE t STORED AS IMAGES PARTITIONED BY (size) LOCATION '{root}'"),
            "the partition column 'size' has the name of another column",
        ),
        (
            "CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 'no-such-folder/'".to_string(),
            "no such file or folder",
        ),
        (
            "SELECT * FROM read_images()".to_string(),
            "read_images takes the location as one string",
        ),
        (
            "SELECT * FROM read_images(1)".to_string(),
            "read_images takes the location as one string",
        ),
        (
            "SELECT * FROM read_images('a', 'b')".to_string(),
            "read_images takes the location as one string",
        ),
        (
            "SELECT * FROM read_images('no-such-folder')".to_string(),
            "no such file or folder",
        ),
    ] {
        let error = fails(&session, &sql).await;
        assert!(error.contains(reason), "{sql}: {error}");
    }
}

#[test]
fn the_image_column_is_marked() -> Result<()> {
    let table = ImagesTable::try_new(Location::parse("s3://bucket/")?, Vec::new())?;
    let schema = table.schema();
    let image = schema.field_with_name("image")?;
    assert_eq!(
        image.metadata().get(TYPE_METADATA_KEY).map(String::as_str),
        Some(IMAGE_TYPE)
    );
    Ok(())
}
