//! The jobs of a cluster, as statements see them.

use std::fmt::Display;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use seequel_cluster::{Client, ListedJob};

use super::exec::ClusterExec;
use super::seen::{read_rows, runs};
use crate::config::unlisted_setting;
use crate::{Error, Result};

/// The cluster of a session.
#[derive(Debug, Clone)]
pub(super) struct OwnCluster(pub(super) Client);

unlisted_setting!(OwnCluster, "seequel_cluster");

/// The cluster of a session, for a statement.
///
/// # Errors
/// A session that has none.
pub(crate) fn client_of(ctx: &SessionContext, statement: impl Display) -> Result<Client> {
    own_client(ctx).ok_or_else(|| {
        let reason = "asks the scheduler of a cluster, and there is none here: start seequel with --cluster df://host:50050";
        Error::Cluster(format!("{statement} {reason}"))
    })
}

/// The cluster of a session, if it has one.
pub(crate) fn own_client(ctx: &SessionContext) -> Option<Client> {
    let state = ctx.state();
    let own = state.config_options().extensions.get::<OwnCluster>();
    own.map(|OwnCluster(client)| client.clone())
}

/// `CANCEL JOB 'id'`.
///
/// # Errors
/// A job that is not known or has ended.
pub(crate) async fn cancel_job(client: &Client, id: &str) -> Result<()> {
    Ok(client.cancel(id).await?)
}

/// `SHOW JOBS`: the jobs that the scheduler knows, the last started last.
///
/// # Errors
/// A scheduler that does not answer.
pub(crate) async fn show_jobs(client: &Client) -> Result<RecordBatch> {
    let jobs = client.jobs().await?;
    let texts = |text: fn(&ListedJob) -> Option<String>| -> ArrayRef {
        Arc::new(jobs.iter().map(text).collect::<StringArray>())
    };
    let counts = |count: fn(&ListedJob) -> Option<u64>| -> ArrayRef {
        Arc::new(jobs.iter().map(count).collect::<UInt64Array>())
    };
    let started = jobs.iter().map(|job| job.started.map(u64::cast_signed));
    let started = started.collect::<TimestampMillisecondArray>().with_timezone("UTC");
    let seconds: Float64Array = jobs.iter().map(|job| job.ran.map(|ran| ran.as_secs_f64())).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", texts(|job| Some(job.id.clone())), false),
        ("name", texts(|job| Some(job.name.clone()).filter(|name| !name.is_empty())), true),
        ("state", texts(|job| Some(job.state.to_string())), false),
        ("started", Arc::new(started) as ArrayRef, true),
        ("seconds", Arc::new(seconds), true),
        ("tasks_ended", counts(|job| Some(job.progress.tasks().0)), false),
        ("tasks", counts(|job| job.progress.tasks().1), true),
        ("read", counts(|job| Some(read_rows(&job.progress))), false),
        ("inferred", counts(|job| Some(runs(&job.progress))), false),
        ("error", texts(|job| job.error.clone()), true),
    ]);
    Ok(batch.map_err(DataFusionError::from)?)
}

/// Begins a query on the cluster and leaves it there; returns the name of its job, or `None` for what runs here.
///
/// # Errors
/// A statement that writes its results here, a scheduler that does not answer or refuses the query.
pub(crate) async fn detach(query: &DataFrame) -> Result<Option<String>> {
    if matches!(query.logical_plan(), LogicalPlan::Copy(_) | LogicalPlan::Dml(_)) {
        let reason = "--detach can't leave a statement that writes: its files are written here, when all rows have come. \
                      Detach the query alone; later, ATTACH 'id' AS job and COPY job TO … write its rows";
        return Err(Error::Cluster(reason.to_owned()));
    }
    let plan = query.clone().create_physical_plan().await?;
    let Some(cluster) = plan.downcast_ref::<ClusterExec>() else { return Ok(None) };
    Ok(Some(cluster.leave(query.task_ctx().session_config().options()).await?))
}
