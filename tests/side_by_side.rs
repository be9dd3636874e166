//! Images that several threads decode into one batch, as for a GPU, here in front of models on the CPU: the same
//! predictions, and one decode an image.

use std::sync::Arc;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use seequel::Engine;
use seequel::accounts::Accounting;
use seequel::exec::{InferExec, Morsels};

use crate::support::{Run, engine, folder_of, home, photos};

/// Runs `sql` with `threads` threads that decode for each morsel.
async fn run_with(engine: &Engine, sql: &str, threads: usize) -> Run {
    let plan = plan_with(engine, sql, threads).await;
    let context = Arc::new(TaskContext::from(&engine.context().state()));
    let batches = collect(Arc::clone(&plan), context).await.unwrap();
    Run { batches, plan }
}

async fn plan_with(engine: &Engine, sql: &str, threads: usize) -> Arc<dyn ExecutionPlan> {
    let plan = engine.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let with_threads = |plan: Arc<dyn ExecutionPlan>| {
        let Some(infer) = plan.downcast_ref::<InferExec>() else { return Ok(Transformed::no(plan)) };
        let (input, calls) = (Arc::clone(plan.children()[0]), infer.calls().to_vec());
        let infer = InferExec::try_new(input, calls, None, Morsels::Exchanged, Some(threads))?;
        Ok(Transformed::yes(Arc::new(infer) as Arc<dyn ExecutionPlan>))
    };
    plan.transform_up(with_threads).unwrap().data
}

/// A folder of the set-up's photos, with a broken file after every third.
fn photos_and_broken_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(home()).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(photos()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let files = files.iter().filter(|file| file.is_file());
    for (number, file) in files.enumerate() {
        let name = file.file_name().unwrap().to_str().unwrap();
        std::fs::hard_link(file, folder.path().join(format!("{number:02}_{name}"))).unwrap();
        if number % 3 == 0 {
            std::fs::write(folder.path().join(format!("{number:02}_{name}_broken.jpg")), "no image").unwrap();
        }
    }
    folder
}

#[tokio::test]
async fn images_decoded_side_by_side_get_the_same_predictions() {
    let engine = engine().await;
    let folder = photos_and_broken_files();
    for (name, batch) in [("four", 4), ("three", 3)] {
        let file = home().join("models/efficientnet_lite0/model.onnx");
        let create =
            format!("CREATE MODEL {name} FROM '{}' OPTIONS (batch_size {batch}, num_cpus 1)", file.display());
        engine.sql(&create).await.unwrap();
    }
    let from = format!("FROM read_images('{}')", folder.path().display());
    for calls in ["classify(image, 'four')", "classify(image, 'four'), classify_top_k(image, 2, 'three')"] {
        // Some images are NULL.
        let image = "CASE WHEN path LIKE '%05_%' OR path LIKE '%10_%' THEN NULL ELSE image END AS image";
        let sql = format!("SELECT path, {calls} FROM (SELECT path, {image} {from}) ORDER BY path");
        let alone = Run::new(&engine, &sql).await;
        let together = run_with(&engine, &sql, 3).await;
        let rows = |run: &Run| pretty_format_batches(&run.batches).unwrap().to_string();
        assert!(alone.rows() > 20);
        assert_eq!(rows(&alone), rows(&together));
        for metric in ["inferred_rows", "decoded_images", "failed_rows"] {
            assert_eq!(alone.metric("InferExec", metric), together.metric("InferExec", metric), "{metric}");
        }
    }
}

/// The threads that decode are none of the workers: these wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_workers_that_others_decode_for_add_up() {
    let (engine, folder) = (engine().await, folder_of(100));
    let sql = format!("SELECT classify(image) FROM read_images('{}')", folder.path().display());
    let plan = plan_with(&engine, &sql, 2).await;
    let accounting = Accounting::new(&plan);
    collect(plan, engine.context().task_ctx()).await.unwrap();
    let workers = accounting.accounts().workers;
    let parts = workers.busy_seconds + workers.input_wait_seconds + workers.room_wait_seconds;
    assert!(workers.count == 2 && (0.95..=1.01).contains(&(parts / workers.seconds)), "{workers:?}");
}
