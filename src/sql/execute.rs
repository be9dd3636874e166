//! Plans statements as the `DataFrame` of their results.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::queries::query;
use super::statement::Statement;
use super::{cluster, create_quantized, formats, locations, queries, resumable, tune_model};
use crate::Result;
use crate::config::InferenceOptions;
use crate::model::ModelRegistry;
use crate::model::runtime::Tunings;
use crate::stores::apply_store_options;
use crate::tune::{trials_table, tunings_table};

/// Plans `statement`. Statements without a plan are executed, as DataFusion does for DDL; their result is empty.
///
/// `observe` gets the plans that run now, each before it does: those of `CREATE TABLE … AS`, of USING, of ADVISE, of
/// EXPLAIN ANALYZE with FORMAT JSON and of trials. Remote models are downloaded first. Models are created, described and
/// dropped on a blocking thread, because this reads and writes files and opens devices.
///
/// # Errors
/// Errors in the statement's names, types, options or files.
pub async fn plan(
    engine_ctx: &SessionContext,
    models: &Arc<ModelRegistry>,
    mut statement: Statement,
    observe: impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<DataFrame> {
    let read = locations::expand(engine_ctx, &mut statement);
    match queries::contained(Box::pin(plan_statement(engine_ctx, models, statement, observe))).await {
        Ok(planned) => Ok(planned),
        Err(error) => Err(queries::with_damaged_file(engine_ctx, &read, error).await),
    }
}

async fn plan_statement(
    engine_ctx: &SessionContext,
    models: &Arc<ModelRegistry>,
    statement: Statement,
    observe: impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<DataFrame> {
    match statement {
        Statement::CreateModel(create) => {
            let bounds = InferenceOptions::of(engine_ctx.state().config_options()).bounds;
            let create = models.fetch_within(create, &bounds).await?;
            let models = Arc::clone(models);
            run_blocking(move || models.create_within(&create, &bounds)).await?;
            empty(engine_ctx)
        }
        Statement::CreateEnsemble(create) => {
            let models = Arc::clone(models);
            run_blocking(move || models.create_ensemble(&create)).await?;
            empty(engine_ctx)
        }
        Statement::CreateQuantized(create) => {
            create_quantized::run(engine_ctx, models, create, observe).await?;
            empty(engine_ctx)
        }
        Statement::TuneModel(statement) => {
            let tuning = tune_model::run(engine_ctx, models, &statement, observe).await?;
            Ok(engine_ctx.read_batch(trials_table(&[tuning])?)?)
        }
        Statement::ShowTuning => {
            let tunings = Tunings::in_home(models.home());
            Ok(engine_ctx.read_batch(tunings_table(&run_blocking(move || Ok(tunings.all())).await?)?)?)
        }
        Statement::ResetTuning { name } => {
            let models = Arc::clone(models);
            run_blocking(move || tune_model::reset(&models, name.as_deref())).await?;
            empty(engine_ctx)
        }
        Statement::DropModel { name, if_exists } => {
            let models = Arc::clone(models);
            run_blocking(move || models.remove(&name, if_exists)).await?;
            empty(engine_ctx)
        }
        Statement::ShowModels => Ok(engine_ctx.read_batch(cluster::show_models(engine_ctx, models).await?)?),
        Statement::ShowDevices => {
            let models = Arc::clone(models);
            // Opens the library.
            let devices = run_blocking(move || models.show_devices()).await?;
            Ok(engine_ctx.read_batch(devices)?)
        }
        Statement::DescribeModel { name } => {
            let models = Arc::clone(models);
            let description = run_blocking(move || models.describe(&name)).await?;
            Ok(engine_ctx.read_batch(description)?)
        }
        Statement::Summarize(statement) => {
            let plan = query::plan(&engine_ctx.state(), *statement).await?;
            Ok(queries::summarize(DataFrame::new(engine_ctx.state(), plan))?)
        }
        Statement::Advise(statement) => {
            formats::check(engine_ctx, &statement.query)?;
            let found = queries::advise(engine_ctx, models, statement, observe).await?;
            Ok(engine_ctx.read_batch(found)?)
        }
        Statement::ExplainJson { analyze, mut statement } => {
            formats::check(engine_ctx, &statement)?;
            resumable::note_query(&mut statement);
            let explained = queries::explain_json(engine_ctx, *statement, analyze, observe).await?;
            Ok(engine_ctx.read_batch(explained)?)
        }
        Statement::Cluster(statement) => match cluster::run(engine_ctx, &statement).await? {
            Some(result) => Ok(result),
            None => empty(engine_ctx),
        },
        Statement::ShowResumable { location } => {
            Ok(engine_ctx.read_batch(resumable::show(engine_ctx, &location).await?)?)
        }
        Statement::DataFusion(mut statement) => {
            formats::check(engine_ctx, &statement)?;
            resumable::note_query(&mut statement);
            let plan = query::plan(&engine_ctx.state(), *statement).await?;
            let plan = apply_store_options(engine_ctx, plan)?;
            let plan = queries::replace_distinct_on(&engine_ctx.state(), plan)?;
            let plan = queries::run_query(engine_ctx, plan, observe).await?;
            Ok(engine_ctx.execute_logical_plan(plan).await?)
        }
    }
}

pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    SpawnedTask::spawn_blocking(work)
        .join()
        .await
        .map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

fn empty(ctx: &SessionContext) -> Result<DataFrame> {
    let plan = LogicalPlanBuilder::empty(false).build()?;
    Ok(DataFrame::new(ctx.state(), plan))
}
