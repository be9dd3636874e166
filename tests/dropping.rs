//! Queries dropped before their end: no further image is started, and all memory is freed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use seequel::Engine;
use seequel::model::Model;
use tokio::task::yield_now;

use crate::support::{Run, engine, folder_of, home};

/// Timeout for conditions that usually hold within milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running query.
struct Query {
    stream: SendableRecordBatchStream,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    model: Arc<Model>,
    /// The model's reference count before anything runs: the engine, the plan, this struct.
    holders: usize,
}

impl Query {
    async fn start(engine: &Engine, sql: &str, model: &str) -> Self {
        let plan = engine.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let context = Arc::new(TaskContext::from(&engine.context().state()));
        let model = engine.models().get(model).unwrap();
        let holders = Arc::strong_count(&model);
        let stream = execute_stream(Arc::clone(&plan), Arc::clone(&context)).unwrap();
        Self { stream, plan, context, model, holders }
    }

    /// Drops the stream and waits until all of its work has ended; returns the metrics.
    async fn drop(self) -> Run {
        let Self { stream, plan, context, model, holders } = self;
        drop(stream);
        until(|| Arc::strong_count(&model) == holders && context.memory_pool().reserved() == 0).await;
        Run { batches: Vec::new(), plan }
    }
}

/// Yields to other tasks until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it did not come to be");
        yield_now().await;
    }
}

#[tokio::test]
async fn dropped_query_stops_reading_and_inferring() {
    const PHOTOS: usize = 2000;
    let folder = folder_of(PHOTOS);
    let engine = engine().await;
    let sql = format!("SELECT path, classify(image) FROM read_images('{}')", folder.path().display());
    let mut query = Query::start(&engine, &sql, "efficientnet_lite0").await;
    let mut taken = 0;
    while taken < 24 {
        taken += query.stream.next().await.unwrap().unwrap().num_rows();
    }
    let run = query.drop().await;

    let inferred = run.metric("InferExec", "inferred_rows");
    let read = run.metric("ImagesExec", "opened_files");
    assert!((taken..=taken + 100).contains(&inferred), "{inferred} of {PHOTOS} inferred, {taken} taken");
    assert!((inferred..PHOTOS).contains(&read), "{read} of {PHOTOS} read");
}

/// While one row waits to be taken, all of a file that fits into the queue is read.
#[tokio::test]
async fn row_groups_are_read_ahead() {
    const PHOTOS: usize = 200;
    let folder = folder_of(PHOTOS);
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let engine = engine().await;
    let table = folder.path().join("photos.parquet");
    let copy = format!(
        "COPY (SELECT image FROM read_images('{}')) TO '{}' OPTIONS ('format.max_row_group_size' '10')",
        folder.path().display(),
        table.display()
    );
    engine.sql(&copy).await.unwrap().collect().await.unwrap();
    let sql = format!("SELECT classify(image) FROM '{}'", table.display());
    let mut query = Query::start(&engine, &sql, "efficientnet_lite0").await;
    query.stream.next().await.unwrap().unwrap();
    let read = |plan: &Arc<dyn ExecutionPlan>| {
        Run { batches: Vec::new(), plan: Arc::clone(plan) }.metric("InferExchangeExec", "queued_bytes") as u64
    };
    until(|| read(&query.plan) >= bytes).await;
    let inferred = query.drop().await.metric("InferExec", "inferred_rows");
    assert!(inferred < PHOTOS, "{inferred} of {PHOTOS} inferred");
}

/// The batch of 64 is never full, so the model never runs, and most of its images are not decoded.
#[tokio::test]
async fn query_dropped_within_a_batch_does_not_finish_it() {
    let folder = tempfile::tempdir_in(home()).unwrap();
    let black = folder.path().join("00.png");
    image::DynamicImage::new_rgb8(2000, 2000).save(&black).unwrap();
    for number in 1..64 {
        std::fs::hard_link(&black, folder.path().join(format!("{number:02}.png"))).unwrap();
    }
    let engine = engine().await;
    let onnx = home().join("models/efficientnet_lite0/model.onnx");
    let create = format!(
        "CREATE MODEL wide FROM '{}' OPTIONS (device 'cpu', batch_size 64, concurrency 1)",
        onnx.display()
    );
    engine.sql(&create).await.unwrap();
    let sql = format!("SELECT classify(image, 'wide') FROM read_images('{}')", folder.path().display());
    let mut query = Query::start(&engine, &sql, "wide").await;
    assert!(futures::poll!(query.stream.next()).is_pending());
    let decoded = |plan: &Arc<dyn ExecutionPlan>| {
        Run { batches: Vec::new(), plan: Arc::clone(plan) }.metric("InferExec", "decoded_images")
    };
    until(|| decoded(&query.plan) > 0).await;
    let run = query.drop().await;

    let decoded = run.metric("InferExec", "decoded_images");
    assert!((1..64).contains(&decoded), "{decoded} images decoded");
    assert_eq!(run.metric("InferExec", "inferred_rows"), 0);
}

/// The flag that terminates a run must not terminate the next run on the same session.
#[tokio::test]
async fn sessions_of_a_dropped_query_are_reused() {
    let folder = folder_of(200);
    let engine = engine().await;
    let onnx = home().join("models/efficientnet_lite0/model.onnx");
    engine.sql(&format!("CREATE MODEL one FROM '{}' OPTIONS (concurrency 1)", onnx.display())).await.unwrap();
    let sql = format!("SELECT classify(image, 'one') FROM read_images('{}')", folder.path().display());
    for _ in 0..3 {
        let mut query = Query::start(&engine, &sql, "one").await;
        query.stream.next().await.unwrap().unwrap();
        query.drop().await;
    }
    let count = "SELECT count(*) FROM images WHERE classify(image, 'one')['error'] IS NULL";
    let batches = engine.sql(count).await.unwrap().collect().await.unwrap();
    let rows = array_value_to_string(batches[0].column(0), 0).unwrap();
    assert_eq!(rows, "20");
}
