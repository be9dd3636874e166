//! Engines on what an application has already, and scripts.

use std::sync::Arc;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryLimit};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use seequel::model::ModelRegistry;
use seequel::{Engine, SeequelExt};

use crate::support::{engine, home, photos};

async fn table(engine: &Engine, sql: &str) -> String {
    let batches = engine.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn an_engine_has_what_its_session_had() {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
    ctx.sql("CREATE TABLE answers AS SELECT 42 AS answer").await.unwrap().collect().await.unwrap();
    let engine = Engine::builder().home(home()).session_state(ctx.state()).build().unwrap();
    let sql = format!(
        "SELECT classify(image)['label'] AS label, answer FROM '{}/lion.jpg', answers",
        photos().display()
    );
    insta::assert_snapshot!(table(&engine, &sql).await, @r"
    +-------+--------+
    | label | answer |
    +-------+--------+
    | lion  | 42     |
    +-------+--------+
    ");
    assert!(table(&engine, "SHOW MODELS").await.contains("efficientnet_lite0"));
    assert_eq!(engine.context().state().config().target_partitions(), 3);
    assert!(table(&engine, "SHOW TABLES").await.contains("answers"), "SHOW is enabled");

    engine.sql("CREATE TABLE more AS SELECT 1").await.unwrap();
    assert!(ctx.table_exist("more").unwrap(), "tables are shared");
}

#[tokio::test]
async fn engines_share_models_and_memory() {
    let models = Arc::new(ModelRegistry::new(home()));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(1 << 30)));
    let runtime = runtime.build_arc().unwrap();
    let build =
        || Engine::builder().models(Arc::clone(&models)).runtime_env(Arc::clone(&runtime)).build().unwrap();
    let (one, other) = (build(), build());
    let create =
        format!("CREATE MODEL mine FROM '{}'", home().join("models/efficientnet_lite0/model.onnx").display());
    one.sql(&create).await.unwrap();
    assert!(table(&other, "SHOW MODELS").await.contains("mine"));
    let limit = other.context().runtime_env().memory_pool.memory_limit();
    assert!(matches!(limit, MemoryLimit::Finite(bytes) if bytes == 1 << 30));
}

#[test]
fn settings_that_exclude_each_other_are_an_error() {
    let (models, ctx) = (Arc::new(ModelRegistry::new(home())), SessionContext::new());
    let runtime = ctx.runtime_env();
    let error = |builder: seequel::EngineBuilder| builder.build().map(|_| ()).unwrap_err().to_string();
    let builder = Engine::builder().home(home()).models(Arc::clone(&models));
    assert!(error(builder).contains("home can't be set together with models"));
    let builder = Engine::builder().runtime("cpu").models(Arc::clone(&models));
    assert!(error(builder).contains("runtime can't be set together with models"));
    let builder = Engine::builder().home(home()).runtime("nope");
    assert!(
        error(builder).contains("there is no runtime 'nope'; the runtimes are cpu, openvino, webgpu, cuda")
    );
    let builder = Engine::builder().memory_limit(Some(1)).runtime_env(Arc::clone(&runtime));
    assert!(error(builder).contains("memory_limit can't be set together with runtime_env"));
    for builder in [
        Engine::builder().memory_limit(Some(1)),
        Engine::builder().config(SessionConfig::new()),
        Engine::builder().runtime_env(runtime),
    ] {
        let error = error(builder.session_state(ctx.state()));
        assert!(error.contains("together with session_state"), "{error}");
    }
    let state = datafusion::execution::SessionStateBuilder::new().with_default_features();
    let twice = Engine::builder().session_state(state.with_seequel(&models).build());
    assert!(error(twice).contains("has Seequel already"));
}

#[tokio::test]
async fn statements_of_a_script_see_what_earlier_ones_made() {
    let engine = engine().await;
    let folder = tempfile::tempdir().unwrap();
    let (model, file) =
        (home().join("models/efficientnet_lite0/model.onnx"), folder.path().join("labels.parquet"));
    let script = format!(
        "CREATE MODEL mine FROM '{}'; -- a comment
         SET inference.default_model = 'mine';
         COPY (SELECT classify(image) AS p FROM images WHERE path LIKE '%/lion.jpg') TO '{file}';
         SELECT p['label'] AS label, p['model'] AS model FROM '{file}';",
        model.display(),
        file = file.display()
    );
    let results = engine.script(&script).and_then(async |result| Ok(result.collect().await?));
    let results: Vec<_> = results.try_collect().await.unwrap();
    assert_eq!(results.len(), 4);
    insta::assert_snapshot!(pretty_format_batches(&results[3]).unwrap(), @r"
    +-------+-------+
    | label | model |
    +-------+-------+
    | lion  | mine  |
    +-------+-------+
    ");
}

#[tokio::test]
async fn a_script_ends_at_its_first_error() {
    let engine = engine().await;
    let mut results =
        engine.script("CREATE TABLE first AS SELECT 1;\nSELEC 2; CREATE TABLE late AS SELECT 3");
    assert!(!engine.context().table_exist("first").unwrap(), "nothing runs before the first poll");
    results.try_next().await.unwrap().unwrap();
    let error = results.try_next().await.unwrap_err().to_string();
    assert!(error.contains("Line: 2, Column: 1"), "{error}");
    assert!(results.try_next().await.unwrap().is_none());
    drop(results);
    assert!(engine.context().table_exist("first").unwrap() && !engine.context().table_exist("late").unwrap());
}
