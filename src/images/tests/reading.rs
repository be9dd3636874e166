//! How much of the files a query reads, and the resulting rows.

use std::fs;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::UInt32Type;
use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{collect, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use image::DynamicImage;

use crate::images::decode::Format;
use crate::images::samples;
use crate::images::tests::{
    Metrics, explain, photos, plan, read_images, run, session, session_with, write, write_image,
};

#[tokio::test]
async fn listing_columns_open_no_file() -> Result<()> {
    let (session, folder) = (session(), photos());
    let images = read_images(&folder, "");
    let root = folder.path().display();

    let (counted, metrics) = run(&session, &format!("SELECT count(*) FROM {images}")).await?;
    assert_eq!(counted, ["3"]);
    assert_eq!(metrics.get("listed_files"), 3);
    assert_eq!(metrics.get("skipped_files"), 1, "hidden files are not counted");
    assert_eq!(metrics.get("opened_files"), 0);

    let sql = format!("SELECT path FROM {images} ORDER BY path");
    let (paths, metrics) = run(&session, &sql).await?;
    assert_eq!(paths, ["a.jpg", "b.PNG", "sub/c.jpeg"].map(|name| format!("{root}/{name}")));
    assert_eq!(metrics.get("opened_files"), 0);
    assert_eq!(explain(&session, &sql).await?, "projection=[path], reads=none");

    let sql = format!("SELECT size > 0, modified > '2000-01-01', etag IS NOT NULL FROM {images} LIMIT 1");
    assert_eq!(run(&session, &sql).await?.0, ["true true true"]);
    Ok(())
}

#[tokio::test]
async fn sizes_read_only_headers() -> Result<()> {
    let session = session();
    let folder = tempfile::tempdir()?;
    let bytes = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
    write(folder.path(), "large.jpg", &[bytes, vec![0; 1 << 20]].concat());
    write(folder.path(), "text.jpg", b"<html>");
    write(folder.path(), "zero.jpg", b"");

    let sql = format!("SELECT width, height, format FROM {} ORDER BY size DESC", read_images(&folder, ""));
    let (sizes, metrics) = run(&session, &sql).await?;
    assert_eq!(sizes, ["64 32 jpeg", "", ""]);
    assert_eq!(metrics.get("opened_files"), 2);
    assert!(metrics.get("bytes_read") < 20_000, "{}", metrics.get("bytes_read"));
    assert_eq!(metrics.get("unreadable_files"), 0);
    assert!(explain(&session, &sql).await?.contains("reads=headers"));
    Ok(())
}

#[tokio::test]
async fn images_are_the_bytes_of_their_files_and_are_read_once() -> Result<()> {
    let session = session();
    let folder = tempfile::tempdir()?;
    let size = write_image(folder.path(), "a.jpg", 64);
    write(folder.path(), "b.jpg", b"short");
    write(folder.path(), "c.jpg", b"");

    let sql = format!("SELECT image, width FROM {} ORDER BY path", read_images(&folder, ""));
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
async fn a_deleted_file_gives_a_null_image() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for index in 0..100 {
        write_image(folder.path(), &format!("{index}.jpg"), 16);
    }
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(1);
    let session = session_with(config, RuntimeEnvBuilder::new());
    let plan = plan(&session, &format!("SELECT image FROM {}", read_images(&folder, ""))).await?;
    let mut stream = execute_stream(Arc::clone(&plan), session.task_ctx())?;
    let first = stream.try_next().await?.unwrap();
    // The listing runs ahead of reading: all files are listed now, but only some can have been read.
    while Metrics(Arc::clone(&plan)).get("chosen_files") == 0 {
        tokio::task::yield_now().await;
    }
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
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 2, 1]);

    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(3);
    let sql = format!("SELECT path FROM {}", read_images(&folder, ""));
    let batches = session_with(config, RuntimeEnvBuilder::new()).sql(&sql).await?.collect().await?;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 2]);
    Ok(())
}

#[tokio::test]
async fn reads_within_the_memory_limit() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for index in 0..8 {
        write(folder.path(), &format!("{index}.jpg"), &vec![0; 1 << 20]);
    }
    let sql = format!("SELECT image FROM {}", read_images(&folder, ""));
    let session_of =
        |bytes| session_with(SessionConfig::new(), RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0));
    let read = session_of(2 << 20).sql(&sql).await?.collect().await?;
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 8);
    write(folder.path(), "large.jpg", &vec![0; (2 << 20) + 1]);
    let read = session_of(2 << 20).sql(&sql).await?.collect().await?;
    let unread: usize = read.iter().map(|batch| batch.column(0).null_count()).sum();
    assert_eq!((read.iter().map(RecordBatch::num_rows).sum::<usize>(), unread), (9, 1));
    Ok(())
}
