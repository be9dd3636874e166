//! Runs the statements, by the scheduler of the session.

use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;

use super::ClusterStatement;
use crate::Result;

/// The result of a statement, if it has any.
///
/// # Errors
/// A session without a cluster, a scheduler that does not answer, a job that it does not know.
#[cfg(feature = "cluster")]
pub(in crate::sql) async fn run(
    ctx: &SessionContext,
    statement: &ClusterStatement,
) -> Result<Option<DataFrame>> {
    use crate::cluster::{cancel_job, client_of, show_jobs};

    let client = client_of(ctx, statement)?;
    match statement {
        ClusterStatement::ShowJobs => Ok(Some(ctx.read_batch(show_jobs(&client).await?)?)),
        ClusterStatement::CancelJob { id } => {
            cancel_job(&client, id).await?;
            Ok(None)
        }
    }
}

/// This build can't run any.
#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "it is async with the feature")]
pub(in crate::sql) async fn run(
    _: &SessionContext,
    statement: &ClusterStatement,
) -> Result<Option<DataFrame>> {
    let reason = format!("{statement} needs a build of Seequel with the feature `cluster`");
    Err(datafusion::error::DataFusionError::NotImplemented(reason).into())
}
