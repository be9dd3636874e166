//! Running queries: their progress, and ends before their own.

use std::thread;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use seequel::model::CreateModel;
use seequel::{Count, Engine, Error, Inference, Query, Stage};

use super::small_model;
use crate::support::{engine, folder_of, photos};

/// An engine with the model `endless`, whose runs never end.
async fn engine_without_end() -> Engine {
    let engine = engine().await;
    engine.models().create(&CreateModel::new("endless", small_model("endless.onnx"))).unwrap();
    engine
}

/// Classification by `endless`: in an operator, and in a branch of CASE.
fn endless_queries() -> [String; 2] {
    let call = "classify(image, 'endless')['label']";
    let branch = format!("CASE WHEN path IS NULL THEN 'none' ELSE {call} END");
    [call, &branch].map(|call| format!("SELECT {call} FROM read_images('{}/lion.jpg')", photos().display()))
}

async fn query(engine: &Engine, sql: &str) -> Query {
    Query::try_new(engine.sql(sql).await.unwrap()).await.unwrap()
}

/// The error that a query ends with.
async fn end(query: Query) -> Error {
    match query.try_collect::<Vec<RecordBatch>>().await {
        Err(DataFusionError::External(error)) => *error.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn progress_counts_stages() {
    let (engine, folder) = (engine().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("labels.parquet");
    let sql = format!("COPY (SELECT classify(image)['label'] AS l FROM images) TO '{}'", file.display());
    let query = query(&engine, &sql).await;
    let progress = query.progress();
    let stages = [Stage::Listed, Stage::Read, Stage::Decoded, Stage::Inferred, Stage::Written];
    let before = progress.stages();
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), stages);
    assert!(before.values().all(|count| count.done == 0), "{before:?}");

    query.try_collect::<Vec<RecordBatch>>().await.unwrap();
    let all = Count { done: 20, total: Some(20) };
    assert!(progress.stages().values().all(|count| *count == all), "{:?}", progress.stages());
    assert_eq!(progress.inference(), Some(Inference { images: 20, rows: 0, failed_rows: 0 }));
    assert_eq!(Stage::Decoded.to_string(), "decoded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_ends_its_runs() {
    let engine = engine_without_end().await;
    for sql in endless_queries() {
        let query = query(&engine, &sql).await;
        let (handle, progress) = (query.handle(), query.progress());
        let canceller = thread::spawn(move || {
            // Long enough that the run has begun in most cases; a test that is too slow still passes.
            thread::sleep(Duration::from_millis(500));
            handle.cancel();
        });
        let error = end(query).await;
        canceller.join().unwrap();
        assert!(matches!(error, Error::Cancelled), "{sql}: {error}");
        assert_eq!(error.to_string(), "the query was cancelled");
        assert!(progress.stages().contains_key(&Stage::Read));
    }
    // Its sessions are usable again, and so is the engine.
    let count = engine.sql("SELECT count(*) FROM images").await.unwrap().collect().await.unwrap();
    assert_eq!(count[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_at_its_time_out() {
    let engine = engine_without_end().await;
    for sql in endless_queries() {
        let query = query(&engine, &sql).await.with_timeout(Duration::from_millis(500));
        let error = end(query).await;
        assert!(matches!(error, Error::TimedOut(_)), "{sql}: {error}");
        assert_eq!(error.to_string(), "the query ran longer than its time-out of 500ms");
    }
    let in_time = query(&engine, "SELECT path FROM images").await.with_timeout(Duration::from_secs(60));
    let batches: Vec<RecordBatch> = in_time.try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20);
}

#[tokio::test]
async fn no_rows_follow_a_cancellation() {
    let (engine, folder) = (engine().await, folder_of(500));
    let sql = format!("SELECT classify(image) FROM read_images('{}')", folder.path().display());
    let mut query = query(&engine, &sql).await;
    query.try_next().await.unwrap().unwrap();
    let progress = query.progress();
    query.handle().cancel();
    assert!(query.try_next().await.is_err());
    assert!(query.try_next().await.unwrap().is_none(), "the error is the end");
    query.handle().cancel();
    let inferred = progress.stages()[&Stage::Inferred].done;
    assert!((1..500).contains(&inferred), "{inferred}");

    let begun = self::query(&engine, "SELECT 1").await;
    begun.handle().cancel();
    assert!(matches!(end(begun).await, Error::Cancelled), "before the first poll");
}
