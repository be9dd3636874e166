//! A prediction is a function of image and model alone: bit for bit the same in every query.

use std::collections::BTreeMap;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Float32Type;
use datafusion::arrow::util::display::array_value_to_string;
use seequel::Engine;

use crate::support::{engine, home};

/// Label and bits of the confidence, by path.
type Predictions = BTreeMap<String, (String, u32)>;

/// The predictions `p` that `query` gives by `path`.
async fn predictions(engine: &Engine, query: &str) -> Predictions {
    let query = format!("SELECT path, p['label'] AS label, p['confidence'] AS confidence FROM ({query})");
    let batches = engine.sql(&query).await.unwrap().collect().await.unwrap();
    let mut predictions = Predictions::new();
    for batch in &batches {
        let confidence = batch.column(2).as_primitive::<Float32Type>();
        for row in 0..batch.num_rows() {
            let text = |column: usize| array_value_to_string(batch.column(column), row).unwrap();
            let name = text(0).rsplit('/').next().unwrap().to_owned();
            predictions.insert(name, (text(1), confidence.value(row).to_bits()));
        }
    }
    predictions
}

async fn run(engine: &Engine, statement: &str) {
    engine.sql(statement).await.unwrap().collect().await.unwrap();
}

/// An engine with a table `photos` of the set-up's photos in four sizes, some large enough for scaled decoding.
async fn photos() -> (Engine, tempfile::TempDir) {
    let engine = engine().await;
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().display();
    for side in [300, 512, 590, 1100] {
        let sized = format!("convert(resize(image, {side}, {side}), 'jpeg') AS image");
        let names = format!("{side} || '-' || regexp_replace(path, '.*/|[.][a-z]+$', '', 'g') || '.jpg'");
        let copy = format!("COPY (SELECT {names} AS name, {sized} FROM images) TO '{location}/'");
        run(&engine, &format!("{copy} STORED AS IMAGES OPTIONS (mode 'append')")).await;
    }
    run(&engine, &format!("CREATE EXTERNAL TABLE photos STORED AS IMAGES LOCATION '{location}/'")).await;
    (engine, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn confidences_do_not_depend_on_the_rest_of_the_query() {
    let (engine, folder) = photos().await;
    let alone = predictions(&engine, "SELECT path, classify(image) AS p FROM photos").await;
    assert!(alone.len() >= 60, "{}", alone.len());

    let beside = "SELECT path, classify(image) AS p, classify(image, 'efficientnet_lite2') AS q FROM photos";
    let kept = format!("SELECT path, p FROM ({beside}) WHERE q['confidence'] >= 0");
    assert_eq!(predictions(&engine, &kept).await, alone, "beside a second model");

    let large =
        predictions(&engine, "SELECT path, classify(image, 'efficientnet_lite2') AS p FROM photos").await;
    run(&engine, "CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2)").await;
    for (path, both) in predictions(&engine, "SELECT path, classify(image, 'both') AS p FROM photos").await {
        let members = [&alone[&path], &large[&path]];
        let surest = members.into_iter().max_by(|a, b| f32::from_bits(a.1).total_cmp(&f32::from_bits(b.1)));
        assert_eq!(Some(&both), surest, "{path}, in an ensemble");
    }

    let sorted = "SELECT path, classify(image) AS p FROM photos ORDER BY path DESC";
    assert_eq!(predictions(&engine, sorted).await, alone, "under ORDER BY");
    let few = predictions(&engine, "SELECT path, classify(image) AS p FROM photos LIMIT 7").await;
    assert_eq!(few.len(), 7);
    assert!(few.iter().all(|(path, found)| alone[path] == *found), "under LIMIT");

    let parquet = folder.path().join("photos.parquet");
    run(&engine, &format!("COPY (SELECT path, image FROM photos) TO '{}'", parquet.display())).await;
    let from_parquet = format!("SELECT path, classify(image) AS p FROM '{}'", parquet.display());
    assert_eq!(predictions(&engine, &from_parquet).await, alone, "from Parquet");
}

#[tokio::test(flavor = "multi_thread")]
async fn confidences_do_not_depend_on_partitions_or_batches() {
    let (engine, _folder) = photos().await;
    let alone = predictions(&engine, "SELECT path, classify(image) AS p FROM photos").await;
    let file = home().join("models/efficientnet_lite0/model.onnx");
    for (number, (partitions, sessions, batch)) in
        [(1, 1, 1), (8, 1, 1), (1, 8, 1), (8, 8, 1), (8, 2, 3), (1, 2, 8)].into_iter().enumerate()
    {
        run(&engine, &format!("SET datafusion.execution.target_partitions = {partitions}")).await;
        let create = format!(
            "CREATE MODEL m{number} FROM '{}' OPTIONS (concurrency '{sessions}', batch_size '{batch}')",
            file.display()
        );
        run(&engine, &create).await;
        let query = format!("SELECT path, classify(image, 'm{number}') AS p FROM photos");
        let found = predictions(&engine, &query).await;
        assert_eq!(found, alone, "{partitions} partitions, {sessions} sessions, batches of {batch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_do_not_depend_on_the_rest_of_the_query() {
    let (engine, _folder) = photos().await;
    let embeddings = async |others: &str| {
        let query = format!("SELECT path, embed(image) AS e {others} FROM photos ORDER BY path");
        let batches = engine.sql(&query).await.unwrap().collect().await.unwrap();
        let bits = batches.iter().flat_map(|batch| {
            let vectors = batch.column(1).as_fixed_size_list().values().as_primitive::<Float32Type>();
            vectors.values().iter().map(|number| number.to_bits()).collect::<Vec<_>>()
        });
        bits.collect::<Vec<_>>()
    };
    let alone = embeddings("").await;
    assert!(alone.len() >= 60 * 1000, "{}", alone.len());
    assert!(
        embeddings(", classify(image, 'efficientnet_lite2') AS p").await == alone,
        "beside a second model"
    );
    run(&engine, "SET datafusion.execution.target_partitions = 1").await;
    assert!(embeddings("").await == alone, "on one partition");
}

/// The last digits of this model depend on how many rows it runs on, and a long query looks for a faster batch size.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_keeps_a_batch_size_that_digits_depend_on() {
    let engine = engine().await;
    let folder = tempfile::tempdir().unwrap();
    let (one, many) = (folder.path().join("one.parquet"), folder.path().join("many.parquet"));
    let (one, many) = (one.display(), many.display());
    let model = format!("{}/tests/data/models/transformer.onnx", env!("CARGO_MANIFEST_DIR"));
    run(&engine, &format!("CREATE MODEL tiny FROM '{model}' OPTIONS (task 'image-classification')")).await;
    run(&engine, &format!("COPY (SELECT resize(image, 12, 9) AS image FROM images LIMIT 1) TO '{one}'"))
        .await;
    run(&engine, &format!("COPY (SELECT image FROM '{one}', generate_series(1, 40000)) TO '{many}'")).await;
    let outputs = format!("SELECT DISTINCT predict('tiny', image)['logits'] FROM '{many}'");
    let batches = engine.sql(&outputs).await.unwrap().collect().await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
}

/// Expressions above inference must not spread ordered rows over partitions, which come back in any order.
#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_the_order_that_is_asked_for() {
    let engine = engine().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let ordered = "SELECT name, embed(image)[1:1] AS first FROM images ORDER BY name DESC LIMIT 20";
    let batches = engine.sql(ordered).await.unwrap().collect().await.unwrap();
    let names = |row: usize, batch: &RecordBatch| array_value_to_string(batch.column(0), row).unwrap();
    let names: Vec<_> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| names(row, batch))).collect();
    assert_eq!(names.len(), 20);
    assert!(names.is_sorted_by(|one, other| one > other), "{names:?}");

    let texts = ordered.replace("embed(image)[1:1]", "array_to_string(embed(image)[1:1], ' ')");
    run(&engine, &format!("COPY ({texts}) TO '{}'", file.display())).await;
    let lines = std::fs::read_to_string(&file).unwrap();
    let written: Vec<_> = lines.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(written, names);
}
