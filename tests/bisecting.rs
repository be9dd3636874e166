//! Batches that a model rejects: they are halved down to the rows at fault, and a device's bound is kept.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;

use tempfile::TempDir;

use crate::support::{Run, engine, folder_of};

fn model(name: &str) -> String {
    format!("{}/tests/data/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

/// Runs of a model that fails on a batch with any of these numbers, over 32 numbers in one batch.
async fn runs_with(bad: &[usize]) -> usize {
    let engine = engine().await;
    let options = "OPTIONS (batch_size 32, concurrency 1, num_cpus 1)";
    engine.sql(&format!("CREATE MODEL lookup FROM '{}' {options}", model("lookup"))).await.unwrap();
    let listed: Vec<_> = bad.iter().map(ToString::to_string).chain(["-2".to_owned()]).collect();
    let sql = format!(
        "SELECT count(square) AS squares FROM (SELECT predict('lookup', CASE WHEN value IN (-1, {}) THEN 1000
           ELSE value END)['square'] AS square FROM (SELECT value FROM range(0, 32) ORDER BY value LIMIT 32))",
        listed.join(", ")
    );
    let run = Run::new(&engine, &sql).await;
    let squares = run.batches[0].column(0).as_primitive::<Int64Type>().value(0);
    assert_eq!(usize::try_from(squares).unwrap(), 32 - bad.len());
    assert_eq!(run.metric("InferExec", "failed_rows"), bad.len());
    assert_eq!(run.metric("InferExec", "inferred_rows"), 32);
    run.metric("InferExec", "batches")
}

#[tokio::test]
async fn a_bad_row_costs_two_runs_for_each_halving_of_its_batch() {
    assert_eq!(runs_with(&[]).await, 1);
    // The batch, and both halves of 32, 16, 8, 4 and 2 rows.
    assert_eq!(runs_with(&[17]).await, 1 + 2 * 5);
    // The halves of the whole are common to both.
    assert_eq!(runs_with(&[3, 30]).await, 1 + 2 + 2 * 2 * 4);
    // Neighbours share all of them.
    assert_eq!(runs_with(&[8, 9]).await, 1 + 2 * 5);
}

/// The model takes 16 kB for 4 images and more memory than any machine has for 8.
#[tokio::test]
async fn a_batch_beyond_the_memory_is_halved_and_the_bound_kept() {
    let folder = folder_of(32);
    let engine = engine().await;
    let options = "OPTIONS (batch_size 8, concurrency 1, num_cpus 1)";
    engine.sql(&format!("CREATE MODEL hungry FROM '{}' {options}", model("hungry"))).await.unwrap();
    let sql = format!(
        "SELECT count(m) AS n FROM (SELECT predict('hungry', image)['means'] AS m FROM read_images('{}'))",
        folder.path().display()
    );
    let run = Run::new(&engine, &sql).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 32);
    assert_eq!(run.metric("InferExec", "failed_rows"), 0);
    assert_eq!(run.metric("InferExec", "retried_batches"), 1, "the bound holds for the batches after it");
    assert!((1 + 32 / 4..32).contains(&run.metric("InferExec", "batches")));
    let shown = datafusion::physical_plan::displayable(run.plan.as_ref()).indent(false).to_string();
    assert!(shown.contains("batch_size=8→4 (out of memory)"), "{shown}");

    // The next query starts with it, and a plan that has not run is displayed as ever.
    let run = Run::new(&engine, &sql).await;
    assert_eq!(run.metric("InferExec", "retried_batches"), 0);
    let text = |run: &Run, column: &str| {
        let column = |batch: &datafusion::arrow::array::RecordBatch| {
            let column = batch.column_by_name(column).unwrap().as_string::<i32>();
            column.iter().flatten().collect::<Vec<_>>().join("\n")
        };
        run.batches.iter().map(column).collect::<String>()
    };
    let plan = text(&Run::new(&engine, &format!("EXPLAIN {sql}")).await, "plan");
    assert!(plan.contains("batch_size=8, "), "{plan}");
    let described = text(&Run::new(&engine, "DESCRIBE MODEL hungry").await, "value");
    assert!(described.contains("8, in runs of at most 4 (out of memory)"), "{described}");
}

/// The model declares any batch, and fails on more than one image.
#[tokio::test]
async fn a_size_that_is_refused_without_a_row_at_fault_is_not_tried_again() {
    let folder = folder_of(32);
    let engine = engine().await;
    let options = "OPTIONS (batch_size 4, concurrency 1, num_cpus 1, task 'image-classification')";
    engine.sql(&format!("CREATE MODEL single FROM '{}' {options}", model("single"))).await.unwrap();
    let sql = format!(
        "SELECT count(c['label']) AS n FROM (SELECT classify(image, 'single') AS c FROM read_images('{}'))",
        folder.path().display()
    );
    let run = Run::new(&engine, &sql).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 32);
    assert_eq!(run.metric("InferExec", "retried_batches"), 1);
    // The batch, and its halves if these are not single images.
    assert!((32 + 1..=32 + 3).contains(&run.metric("InferExec", "batches")));
}

/// An image of 8 × 8 pixels of one grey, as an uncompressed BMP.
fn bmp(grey: u8) -> Vec<u8> {
    let mut bytes = b"BM\xf6\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x08\0\0\0\x08\0\0\0\x01\0\x18\0".to_vec();
    bytes.resize(54, 0);
    bytes.resize(54 + 8 * 8 * 3, grey);
    bytes
}

/// Eight images, of which the third is white.
fn greys() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, grey) in [0, 50, 255, 100, 0, 50, 100, 0].into_iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number}.bmp")), bmp(grey)).unwrap();
    }
    folder
}

/// Rows that are run again must not share the batch with the one at fault.
#[tokio::test]
async fn halves_of_a_fixed_batch_are_padded_with_nothing() {
    let folder = greys();
    let engine = engine().await;
    engine.sql(&format!("CREATE MODEL dark FROM '{}'", model("dark"))).await.unwrap();
    let sql = format!(
        "SELECT count(m) AS n FROM (SELECT predict('dark', image)['means'] AS m FROM read_images('{}'))",
        folder.path().display()
    );
    let run = Run::new(&engine, &sql).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 7);
    assert_eq!(run.metric("InferExec", "failed_rows"), 1);
}

/// A run of one row is padded to four, of which only the white one takes more memory than there is.
#[tokio::test]
async fn of_a_fixed_batch_beyond_the_memory_the_row_at_fault_fails() {
    let folder = greys();
    let engine = engine().await;
    engine.sql(&format!("CREATE MODEL blinded FROM '{}'", model("blinded"))).await.unwrap();
    let sql = format!(
        "SELECT count(m) AS n, max(e) AS error FROM
           (SELECT predict('blinded', image)['means'] AS m, image_error(image, 'blinded') AS e FROM read_images('{}'))",
        folder.path().display()
    );
    let run = Run::new(&engine, &sql).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 7);
    let error = run.batches[0].column(1).as_string::<i32>().value(0);
    assert!(!error.is_empty() && !error.contains("can't be made smaller"), "{error}");
    assert_eq!(run.metric("InferExec", "failed_rows"), 1);
    assert!(run.metric("InferExec", "retried_batches") >= 1);
}

/// The model takes more memory than any machine has for its eight images, whatever they are.
#[tokio::test]
async fn a_fixed_batch_that_never_fits_fails_with_all_its_rows() {
    let folder = folder_of(16);
    let engine = engine().await;
    engine.sql(&format!("CREATE MODEL hungry FROM '{}'", model("hungry_eight"))).await.unwrap();
    let sql = format!(
        "SELECT count(m) AS n, count(e) AS failed, max(e) AS error FROM
           (SELECT predict('hungry', image)['means'] AS m, image_error(image, 'hungry') AS e FROM read_images('{}'))",
        folder.path().display()
    );
    let run = Run::new(&engine, &sql).await;
    let count = |column: usize| run.batches[0].column(column).as_primitive::<Int64Type>().value(0);
    assert_eq!((count(0), count(1)), (0, 16));
    let error = run.batches[0].column(2).as_string::<i32>().value(0);
    assert!(error.contains("; the model's batch is always of 8 rows and can't be made smaller"), "{error}");
    assert_eq!(run.metric("InferExec", "retried_batches"), 0);
}
