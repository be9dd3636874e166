//! Runs the statements, by the scheduler of the session.

use datafusion::arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;

use super::ClusterStatement;
use crate::Result;
use crate::model::ModelRegistry;

/// The result of a statement, if it has any.
///
/// # Errors
/// A session without a cluster, a scheduler that does not answer, a job that it does not know.
#[cfg(feature = "cluster")]
pub(in crate::sql) async fn run(
    ctx: &SessionContext,
    statement: &ClusterStatement,
) -> Result<Option<DataFrame>> {
    use std::sync::Arc;

    use datafusion::common::TableReference;

    use crate::cluster::{JobTable, cancel_job, client_of, show_executors, show_jobs};

    let client = client_of(ctx, statement)?;
    match statement {
        ClusterStatement::ShowJobs => Ok(Some(ctx.read_batch(show_jobs(&client).await?)?)),
        ClusterStatement::ShowExecutors => Ok(Some(ctx.read_batch(show_executors(&client).await?)?)),
        ClusterStatement::CancelJob { id } => {
            cancel_job(&client, id).await?;
            Ok(None)
        }
        ClusterStatement::Attach { id, name } => {
            let table = Arc::new(JobTable::of(client, id).await?);
            match name {
                None => Ok(Some(ctx.read_table(table)?)),
                Some(name) => {
                    ctx.register_table(TableReference::bare(name.as_str()), table)?;
                    Ok(None)
                }
            }
        }
    }
}

/// This build can't run any.
#[cfg(not(feature = "cluster"))]
pub(in crate::sql) async fn run(
    _: &SessionContext,
    statement: &ClusterStatement,
) -> Result<Option<DataFrame>> {
    let reason = format!("{statement} needs a build of Seequel with the feature `cluster`");
    Err(datafusion::error::DataFusionError::NotImplemented(reason).into())
}

/// `SHOW MODELS`, with the executors that have loaded each on a cluster.
///
/// # Errors
/// A bug: columns that don't fit.
pub(in crate::sql) async fn show_models(ctx: &SessionContext, models: &ModelRegistry) -> Result<RecordBatch> {
    let shown = models.show()?;
    #[cfg(feature = "cluster")]
    if let Some(client) = crate::cluster::own_client(ctx) {
        return crate::cluster::with_executors(&client, models, shown).await;
    }
    #[cfg(not(feature = "cluster"))]
    let _ = ctx;
    Ok(shown)
}
