//! Running queries: their progress, and ends before their own.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use seequel::model::CreateModel;
use seequel::{Count, Engine, Error, Inference, Query, Stage};
use tokio::runtime;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Instrument, Metadata, Subscriber, dispatcher};

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

/// The spans that were entered, by name.
#[derive(Clone, Default)]
struct Spans {
    all: Arc<Mutex<Vec<&'static str>>>,
    entered: Arc<Mutex<BTreeSet<&'static str>>>,
    /// Those that each thread is in.
    current: Arc<Mutex<HashMap<ThreadId, Vec<&'static str>>>>,
    /// The span that was current when one was made.
    parents: Arc<Mutex<BTreeSet<(&'static str, &'static str)>>>,
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("seequel")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let name = span.metadata().name();
        let current = self.current.lock().unwrap();
        if let Some(parent) = current.get(&thread::current().id()).and_then(|spans| spans.last())
            && span.is_contextual()
        {
            self.parents.lock().unwrap().insert((name, parent));
        }
        let mut all = self.all.lock().unwrap();
        all.push(name);
        Id::from_u64(all.len() as u64)
    }

    fn enter(&self, span: &Id) {
        let name = self.all.lock().unwrap()[span.into_u64() as usize - 1];
        self.entered.lock().unwrap().insert(name);
        self.current.lock().unwrap().entry(thread::current().id()).or_default().push(name);
    }

    fn exit(&self, _: &Id) {
        self.current.lock().unwrap().entry(thread::current().id()).or_default().pop();
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
}

#[test]
fn every_stage_has_its_span() {
    let spans = Spans::default();
    let dispatch = Dispatch::new(spans.clone());
    // With a single one, a span that a thread of another test comes to first would be off for all.
    let _other = Dispatch::new(Spans::default());
    // For the threads of this runtime, and not for those of other tests.
    let here = dispatch.clone();
    let start = move || std::mem::forget(dispatcher::set_default(&here));
    let runtime = runtime::Builder::new_multi_thread().enable_all().on_thread_start(start).build().unwrap();
    let _here = dispatcher::set_default(&dispatch);
    runtime.block_on(async {
        let (engine, folder) = (engine().await, tempfile::tempdir().unwrap());
        let create = CreateModel::new("shares", small_model("shares.onnx"));
        engine.models().create(&create).unwrap();
        let sql = format!(
            "COPY (SELECT path, classify(image, 'shares') FROM images) TO '{}'",
            folder.path().join("labels.parquet").display()
        );
        // A span of the application, which has its trace.
        let query = query(&engine, &sql).instrument(tracing::info_span!("request")).await;
        query.try_collect::<Vec<RecordBatch>>().await.unwrap();
    });
    let entered: Vec<_> = spans.entered.lock().unwrap().iter().copied().collect();
    assert_eq!(entered, ["batch", "infer", "list", "load", "query", "read", "request", "write"]);
    assert!(spans.parents.lock().unwrap().contains(&("query", "request")));
}
