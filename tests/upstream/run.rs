//! Runs the files in one kind of session, in parallel, and collects the failing records.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion_sqllogictest::{
    DFColumnType, TestContext, df_value_validator, is_spark_path, setup_scratch_dir, value_normalizer,
};
use futures::{StreamExt, stream};
use seequel::SeequelExt;
use seequel::model::ModelRegistry;
use sqllogictest::{Record, Runner, parse_file, strict_column_validator};

use super::engine::Engine;
use super::source::{TEST_FILES, working_folder};

/// The kind of session that runs the files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Session {
    /// DataFusion as in its own tests.
    Plain,
    /// The same with Seequel, which also parses the statements.
    Seequel,
}

/// Runs `files`; returns the records that fail, as `file:line`, with the error.
pub(crate) fn run(session: Session, files: &[PathBuf]) -> BTreeMap<String, String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    runtime.block_on(async {
        let failures = stream::iter(files.to_vec()).map(|file| async move {
            // A task of its own, so that files are planned in parallel too.
            SpawnedTask::spawn(async move { run_file(&file, session).await }).await.unwrap().unwrap()
        });
        failures.buffer_unordered(threads).flat_map(stream::iter).collect().await
    })
}

async fn run_file(
    file: &Path,
    session: Session,
) -> Result<Vec<(String, String)>, Box<dyn Error + Send + Sync>> {
    let Some(context) = TestContext::try_new_for_test_file(file).await else {
        return Ok(vec![(format!("{}:0", file.display()), "DataFusion's driver leaves it out".to_owned())]);
    };
    setup_scratch_dir(file)?;
    let (folder, is_spark) = (working_folder()?, is_spark_path(file));
    let engine = match session {
        Session::Plain => Engine { context: context.session_ctx().clone(), models: None, is_spark, folder },
        Session::Seequel => {
            let models = Arc::new(ModelRegistry::new(".seequel"));
            let context = with_seequel(context.session_ctx(), &models);
            Engine { context, models: Some(models), is_spark, folder }
        }
    };
    let mut runner = Runner::new(|| async { Ok(engine.clone()) });
    runner.add_label("Datafusion");
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(value_normalizer);
    runner.with_validator(df_value_validator);
    let mut failures = Vec::new();
    for record in parse_file::<DFColumnType>(Path::new(TEST_FILES).join(file).canonicalize()?)? {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        if let Err(error) = runner.run_async(record).await {
            failures.push((format!("{}:{}", file.display(), error.location().line()), error.to_string()));
        }
    }
    Ok(failures)
}

/// A session over the same tables as `context`, with Seequel.
fn with_seequel(context: &SessionContext, models: &Arc<ModelRegistry>) -> SessionContext {
    let state = context.state();
    let mut builder = SessionStateBuilder::new_from_existing(state.clone());
    shadowed_first(builder.scalar_functions(), state.scalar_functions(), |function| {
        [function.name()].into_iter().chain(function.aliases().iter().map(String::as_str)).collect()
    });
    shadowed_first(builder.aggregate_functions(), state.aggregate_functions(), |function| {
        [function.name()].into_iter().chain(function.aliases().iter().map(String::as_str)).collect()
    });
    SessionContext::new_with_state(builder.with_seequel(models).build())
}

/// Moves functions whose name another function has taken, as Spark's do with DataFusion's, to the front: a builder gets
/// the functions of another session in any order, and the last one with a name wins.
fn shadowed_first<F: PartialEq>(
    functions: &mut Option<Vec<Arc<F>>>,
    registered: &HashMap<String, Arc<F>>,
    names: impl Fn(&F) -> Vec<&str>,
) {
    let has_its_names = |function: &Arc<F>| {
        names(function).into_iter().all(|name| registered.get(name).is_some_and(|known| known == function))
    };
    functions.iter_mut().for_each(|functions| functions.sort_by_key(has_its_names));
}
