//! `TUNE MODEL`: collects the rows of its query and searches. `RESET TUNING` forgets.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::queries::query;
use crate::model::ModelRegistry;
use crate::model::runtime::{Tuning, Tunings};
use crate::tune::{self, TuneModel};
use crate::{Error, Result};

/// Most bytes of rows: a few hundred photos of a camera.
const MOST_BYTES: usize = 2 << 30;

/// Runs the statement. `observe` gets the plans of its query and of its trials before they run.
///
/// # Errors
/// Errors of the query, and those of the search.
pub(super) async fn run(
    ctx: &SessionContext,
    models: &Arc<ModelRegistry>,
    statement: &TuneModel,
    mut observe: impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<Tuning> {
    tune::check(models, statement)?;
    let rows = collect(ctx, statement, &mut observe).await?;
    tune::tune(ctx, models, statement, rows, observe).await
}

/// Forgets what TUNE found out about a model, or about all.
///
/// # Errors
/// An unknown model, a home that can't be written.
pub(super) fn reset(models: &ModelRegistry, name: Option<&str>) -> Result<()> {
    let model = name.map(|name| models.get(name)).transpose()?;
    let sha256 = model.as_ref().map(|model| model.spec().sha256.as_str());
    Tunings::in_home(models.home()).remove(sha256)?;
    models.renew(sha256);
    Ok(())
}

/// The rows of the statement's query.
async fn collect(
    ctx: &SessionContext,
    statement: &TuneModel,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let plan = query::plan(&ctx.state(), statement.query.as_ref().clone()).await?;
    let (plan, task) = query::physical(ctx, plan, observe).await?;
    let (schema, mut rows, mut bytes) = (plan.schema(), vec![], 0);
    let mut batches = execute_stream(plan, task)?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        bytes += batch.get_array_memory_size();
        if bytes > MOST_BYTES {
            return Err(Error::Model {
                model: statement.name.clone(),
                reason: format!("the query of USING gives more than {} GiB; add LIMIT 200", MOST_BYTES >> 30),
            });
        }
        rows.push(batch);
    }
    Ok((schema, rows))
}
