//! The accounts of a query: their counts, and that workers' times add up.

use datafusion::arrow::array::RecordBatch;
use futures::TryStreamExt;
use seequel::accounts::{Accounts, StageAccount};
use seequel::model::CreateModel;
use seequel::{Engine, Query};

use super::small_model;
use crate::support::{engine, folder_of, photos};

async fn accounts_of(engine: &Engine, sql: &str) -> Accounts {
    let query = Query::try_new(engine.sql(sql).await.unwrap()).await.unwrap();
    let accounting = query.accounting();
    assert_eq!(accounting.accounts().query.seconds, 0.0, "nothing runs before the first poll");
    query.try_collect::<Vec<RecordBatch>>().await.unwrap();
    accounting.accounts()
}

#[tokio::test]
async fn every_stage_has_its_rows_and_bytes() {
    let (engine, folder) = (engine().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("labels.parquet");
    let sql = format!("COPY (SELECT classify(image)['label'] AS l FROM images) TO '{}'", file.display());
    let accounts = accounts_of(&engine, &sql).await;
    let files = std::fs::read_dir(photos()).unwrap().map(|file| file.unwrap().metadata().unwrap());
    let bytes: u64 = files.filter(|file| file.is_file()).map(|file| file.len()).sum();
    let stages = accounts.stages;
    for (name, StageAccount { rows, .. }) in stages.named() {
        assert_eq!(rows, 20, "{name}: {accounts:?}");
    }
    assert_eq!((stages.read.bytes, stages.decode.bytes), (bytes, bytes));
    assert_eq!(stages.write.bytes, file.metadata().unwrap().len());
    assert!(stages.queue.bytes >= bytes);
    let [model] = accounts.models.as_slice() else { panic!("{accounts:?}") };
    assert_eq!((model.name.as_str(), model.device.as_str()), ("efficientnet_lite0", "cpu"));
    assert_eq!((model.rows, model.batches, model.padded_rows), (20, 20, 0));
    assert!(model.p50_seconds <= model.p95_seconds && model.p95_seconds <= model.p99_seconds);
    assert!((1..=2).contains(&model.loaded_sessions) && model.memory_bytes > 0, "{model:?}");
    assert_eq!(accounts.query.failed_rows, 0);
    let json = serde_json::to_value(&accounts).unwrap();
    assert_eq!(json["stages"]["decode"]["rows"], 20);
    assert_eq!(json["models"][0]["rows_a_batch"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_workers_add_up() {
    let (engine, folder) = (engine().await, folder_of(300));
    let sql = format!("SELECT classify(image) FROM read_images('{}')", folder.path().display());
    let query = Query::try_new(engine.sql(&sql).await.unwrap()).await.unwrap();
    let (accounting, mut rows, mut batches) = (query.accounting(), 0, query);
    while let Some(batch) = batches.try_next().await.unwrap() {
        rows += batch.num_rows();
        let so_far = accounting.accounts();
        assert!(so_far.stages.infer.rows >= rows as u64, "{rows}: {so_far:?}");
    }
    let Accounts { query, workers, stages, models, .. } = accounting.accounts();
    assert_eq!(workers.count, 2);
    let parts = workers.busy_seconds + workers.input_wait_seconds + workers.room_wait_seconds;
    // Between stages a thread does next to nothing, but the machine may give its core to others.
    assert!((0.85..=1.001).contains(&(parts / workers.seconds)), "{workers:?}");
    assert!((0.6..=1.05).contains(&(workers.seconds / (2.0 * query.seconds))), "{workers:?} {query:?}");
    let busy = stages.decode.busy_seconds
        + stages.preprocess.busy_seconds
        + stages.infer.busy_seconds
        + stages.postprocess.busy_seconds
        + models[0].load_seconds;
    assert!((busy - workers.busy_seconds).abs() < 1e-6, "{busy} {workers:?}");
    assert!(query.cpu_seconds > 0.0 && query.peak_memory_bytes > 1 << 20, "{query:?}");
    assert_eq!(accounting.accounts().query, query, "the clock stops with the query");
}

#[tokio::test]
async fn padded_rows_and_failures_are_counted() {
    let engine = engine().await;
    let create = CreateModel::new("sixteen", small_model("sixteen.onnx"));
    engine.models().create(&create).unwrap();
    let accounts = accounts_of(&engine, "SELECT classify(image, 'sixteen') FROM images LIMIT 6").await;
    let model = &accounts.models[0];
    assert_eq!((model.fixed_batch, model.rows), (Some(16), 6), "{model:?}");
    assert_eq!((model.batches, model.padded_rows), (1, 10), "{model:?}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jpg"), "no image").unwrap();
    let sql = format!("SELECT classify(image) FROM read_images('{}')", folder.path().display());
    assert_eq!(accounts_of(&engine, &sql).await.query.failed_rows, 1);
}
