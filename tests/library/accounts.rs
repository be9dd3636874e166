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
async fn the_accounts_of_a_running_query_are_as_far_as_its_rows() {
    let (engine, folder) = (engine().await, folder_of(60));
    let sql = format!("SELECT classify(image) FROM read_images('{}')", folder.path().display());
    let query = Query::try_new(engine.sql(&sql).await.unwrap()).await.unwrap();
    let (accounting, mut rows, mut batches) = (query.accounting(), 0, query);
    while let Some(batch) = batches.try_next().await.unwrap() {
        rows += batch.num_rows();
        let so_far = accounting.accounts();
        assert!(so_far.stages.infer.rows >= rows as u64, "{rows}: {so_far:?}");
    }
    let Accounts { query, .. } = accounting.accounts();
    assert!(query.cpu_seconds > 0.0 && query.peak_memory_bytes > 1 << 20, "{query:?}");
    assert_eq!(accounting.accounts().query, query, "the clock stops with the query");
}

/// Busy and waiting, as shares of the time that `workers` workers have in the query.
fn shares(accounts: &Accounts, workers: usize) -> (f64, f64) {
    let Accounts { query, workers: all, .. } = accounts;
    assert_eq!(all.count, workers);
    let has = query.seconds * workers as f64;
    (all.busy_seconds / has, (all.input_wait_seconds + all.room_wait_seconds) / has)
}

/// Other work of the machine may delay the start of a thread. Time that is not accounted for is missing in every run.
const TRIES: usize = 4;

/// The busy and waiting times of workers are their time in the query, to 5 %, and nine tenths of it are busy if they set
/// the pace.
#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_workers_add_up() {
    let (engine, folder) = (engine().await, folder_of(200));
    for name in ["iris", "shares"] {
        engine.models().create(&CreateModel::new(name, small_model(&format!("{name}.onnx")))).unwrap();
    }
    let images = format!("read_images('{}')", folder.path().display());
    let many = format!("(SELECT resize(image, 64, 64) AS image FROM {images}), generate_series(1, 100)");
    let flowers = "SELECT 5.0 AS a, 3.5 AS b, 1.4 AS c, value * 0.1 AS d FROM generate_series(1, 500000)";
    let queries = [
        (0.9, format!("SELECT classify(image) FROM {images}")),
        // In the order of the sort, without an exchange.
        (0.9, format!("SELECT path, classify(image) FROM {images} ORDER BY path LIMIT 190")),
        // So cheap that workers may wait for others, and that what they do between stages matters.
        (0.0, format!("SELECT count(classify(image, 'shares')) FROM {many}")),
        (0.0, format!("SELECT count(predict('iris', a, b, c, d)) FROM ({flowers})")),
    ];
    for (least_busy, sql) in queries {
        // Loads the sessions.
        accounts_of(&engine, &sql).await;
        for left in (0..TRIES).rev() {
            let accounts = accounts_of(&engine, &sql).await;
            let (busy, waiting) = shares(&accounts, 2);
            let adds_up = (0.95..=1.01).contains(&(busy + waiting)) && busy >= least_busy;
            assert!(adds_up || left > 0, "{sql}: {busy} + {waiting} of the time: {accounts:?}");
            if adds_up {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_busy_times_of_stages_are_those_of_workers() {
    let engine = engine().await;
    for order in ["", "ORDER BY size LIMIT 19"] {
        let sql = format!("SELECT path, classify(image) FROM (SELECT * FROM images {order})");
        let Accounts { workers, stages, models, .. } = accounts_of(&engine, &sql).await;
        let busy = [stages.decode, stages.preprocess, stages.infer, stages.postprocess];
        let busy = busy.map(|stage| stage.busy_seconds).iter().sum::<f64>() + models[0].load_seconds;
        assert!((busy - workers.busy_seconds).abs() < 1e-6, "{busy} {workers:?}");
        let waits = [stages.decode, stages.infer, stages.postprocess];
        let waits = waits.map(|stage| stage.input_wait_seconds + stage.room_wait_seconds).iter().sum::<f64>();
        let waiting = workers.input_wait_seconds + workers.room_wait_seconds;
        assert!((waits - waiting).abs() < 1e-6, "{waits} {workers:?}");
        assert!(((busy + waits) / workers.seconds - 1.0).abs() < 0.05, "{busy} {waits} {workers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_within_expressions_have_accounts_too() {
    let engine = engine().await;
    let create = CreateModel::new("shares", small_model("shares.onnx"));
    engine.models().create(&create).unwrap();
    let lions = "CASE WHEN path LIKE '%lion.jpg' THEN classify(image, 'shares')['label'] END";
    let accounts = accounts_of(&engine, &format!("SELECT {lions} FROM images")).await;
    let Accounts { query, workers, stages, models, .. } = accounts;
    let [model] = models.as_slice() else { panic!("{models:?}") };
    assert_eq!((model.name.as_str(), model.rows, model.batches), ("shares", 1, 1));
    assert!(model.run_seconds > 0.0 && model.p50_seconds.is_some(), "{model:?}");
    assert_eq!((stages.decode.rows, stages.infer.rows, stages.postprocess.rows), (1, 1, 1));
    assert!(stages.decode.busy_seconds > 0.0 && stages.decode.bytes > 0, "{stages:?}");
    assert_eq!((workers.count, workers.seconds), (0, 0.0), "no threads of their own");
    // The operator that evaluates the expression has only the rest of the time.
    let all: f64 = stages.named().iter().map(|(_, stage)| stage.busy_seconds).sum();
    assert!(all - stages.read.busy_seconds - stages.list.busy_seconds < 2.0 * query.seconds, "{stages:?}");

    // Beside the same model in an operator: the same account.
    let both = format!("SELECT {lions}, classify_top_k(image, 2, 'shares') FROM images");
    let Accounts { workers, models, .. } = accounts_of(&engine, &both).await;
    assert_eq!((workers.count, models.len(), models[0].rows), (2, 1, 21), "{models:?}");

    let bad = tempfile::tempdir().unwrap();
    std::fs::write(bad.path().join("lion.jpg"), "no image").unwrap();
    let sql = format!("SELECT {lions} FROM read_images('{}')", bad.path().display());
    assert_eq!(accounts_of(&engine, &sql).await.query.failed_rows, 1);
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
