//! Runs a physical plan on a cluster and fetches its rows.
//!
//! ```text
//!  plan ─ codec ─► scheduler ─ status, until the job has ended ─► where its partitions are ─► executors ─► batches
//!                     ▲
//!                     └─ cancel, if the stream is dropped before
//! ```
//!
//! Ballista has a function for this, `execute_physical_plan`, which leaves a job running when its stream is dropped,
//! and whose errors are the debug output of its types.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::BALLISTA_VERSION;
use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::execute_query_failure_result::Failure;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{
    ExecuteQueryParams, ExecuteQueryResult, KeyValuePair, PartitionLocation, execute_query_result,
};
use ballista_core::version::{check_compatibility, insert_version_header, version_from_metadata};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::time::sleep;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::files::{Offer, OfferedFile, offer};
use crate::job::{Job, channel, client, reason};
use crate::progress::Watcher;
use crate::results::gathered;
use crate::security::Security;
use crate::settings::MESSAGE_BYTES;
use crate::{Address, Error};

/// Partitions that are asked for ahead of the one that is read.
const FETCHED_AHEAD: usize = 4;
/// Between two questions whether a query has ended: the first and the longest time.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_millis(100);
/// Between two questions how far it is.
const WATCHED_EVERY: Duration = Duration::from_millis(500);
/// How long a scheduler may take to list a query that it has taken.
const LISTED_WITHIN: Duration = Duration::from_secs(10);
/// Attempts to fetch a partition after the first, and milliseconds between them.
const RETRIES: (u8, u64) = (3, 250);

/// Runs plans on the cluster of a scheduler.
#[derive(Clone)]
pub struct Client {
    address: Address,
    security: Security,
    codec: Arc<dyn PhysicalExtensionCodec>,
    secret: String,
}

impl Client {
    /// A client that is not connected yet. `codec` makes what writes the plans of a secret, which is in them: whoever has it
    /// may read the files that are offered while they run.
    #[must_use]
    pub fn new(
        address: Address,
        security: Security,
        codec: impl FnOnce(String) -> Arc<dyn PhysicalExtensionCodec>,
    ) -> Self {
        let secret = Uuid::new_v4().to_string();
        Self { address, security, codec: codec(secret.clone()), secret }
    }

    /// The scheduler.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// `plan` as it is sent.
    ///
    /// # Errors
    /// An operator or expression that has no message.
    pub fn encode(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
        let message = PhysicalPlanNode::try_from_physical_plan(Arc::clone(plan), self.codec.as_ref())?;
        let mut bytes = vec![];
        message.try_encode(&mut bytes)?;
        Ok(bytes)
    }

    /// The rows of a plan by [`Self::encode`] with these settings, partition by partition; `watcher` is told how far it is.
    /// Executors may ask for `files` until the query has ended. Nothing is sent before the first poll. The job is cancelled
    /// if the stream is dropped before its end.
    #[must_use]
    pub fn run(
        &self,
        plan: Vec<u8>,
        settings: &ConfigOptions,
        files: Vec<OfferedFile>,
        watcher: Watcher,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let settings =
            settings.entries().into_iter().map(|entry| KeyValuePair { key: entry.key, value: entry.value });
        let query = ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(plan)),
            settings: settings.collect(),
            session_id: Uuid::new_v4().to_string(),
            operation_id: Uuid::new_v4().to_string(),
        };
        let Self { address, security, secret, .. } = self.clone();
        stream::once(async move {
            let scheduler = channel(&address, &security).await?;
            let _offer = offered(&address, &scheduler, &secret, files).await?;
            let mut has_failed = false;
            loop {
                let running =
                    finish(scheduler.clone(), query.clone(), (&address, &security), Arc::clone(&watcher));
                match gathered(fetch(running.await?, security.clone())).await {
                    Err(error) if !has_failed && is_lost(&error) => {
                        tracing::warn!("running the query again: {error}");
                        has_failed = true;
                    }
                    rows => return rows,
                }
            }
        })
        .try_flatten()
        .boxed()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Whether results are lost that another run may give.
fn is_lost(error: &DataFusionError) -> bool {
    let error = match error {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    };
    matches!(error, Some(Error::Fetch { .. }))
}

/// The offer of a query's files, if it has any.
async fn offered(
    address: &Address,
    scheduler: &Channel,
    secret: &str,
    files: Vec<OfferedFile>,
) -> Result<Option<Offer>, Error> {
    match files.is_empty() {
        true => Ok(None),
        false => offer(address, scheduler.clone(), secret, files.into()).await.map(Some),
    }
}

/// Waits for the end of a query, and returns where its results are.
async fn finish(
    scheduler: Channel,
    query: ExecuteQueryParams,
    (address, security): (&Address, &Security),
    watcher: Watcher,
) -> Result<Vec<PartitionLocation>, Error> {
    let refused = |reason: String| Error::Refused { address: address.to_string(), reason };
    let lost = |reason: String| Error::Lost { address: address.to_string(), reason };
    let mut request = tonic::Request::new(query);
    insert_version_header(request.metadata_mut());
    // Ballista has a method, too, that tells how the job goes on by itself; but it does not tell its name before the end,
    // so that it could not be cancelled.
    let response = client(scheduler.clone()).execute_query(request).await;
    let response = response.map_err(|status| refused(reason(&status, security)))?;
    let version = version_from_metadata(response.metadata()).map(ToOwned::to_owned);
    let mut job = Job::new(scheduler, job_id(response.into_inner()).map_err(refused)?);
    check_compatibility(Some(BALLISTA_VERSION), version.as_deref()).map_err(refused)?;
    let (mut wait, mut watched, mut is_known) = (SOONEST, Instant::now(), false);
    loop {
        sleep(wait).await;
        wait = (wait * 2).min(LATEST);
        match job.status().await.map_err(|status| lost(status.message().to_owned()))? {
            Some(Status::Failed(failed)) => {
                job.ended();
                return Err(Error::Failed(message_of(&failed.error)));
            }
            Some(Status::Successful(successful)) => {
                job.ended();
                if let Some(ran) = job.ran().await {
                    watcher(ran);
                }
                return Ok(successful.partition_location);
            }
            Some(Status::Queued(_) | Status::Running(_)) => is_known = true,
            // It is not listed yet.
            None if !is_known && watched.elapsed() < LISTED_WITHIN => continue,
            None => return Err(lost("it does not know the query any more".to_owned())),
        }
        if watched.elapsed() >= WATCHED_EVERY {
            watched = Instant::now();
            if let Some(progress) = job.progress().await {
                watcher(progress);
            }
        }
    }
}

fn job_id(answer: ExecuteQueryResult) -> Result<String, String> {
    match answer.result {
        Some(execute_query_result::Result::Success(job)) => Ok(job.job_id),
        Some(execute_query_result::Result::Failure(failure)) => Err(match failure.failure {
            Some(
                Failure::SessionNotFound(text)
                | Failure::PlanParsingFailure(text)
                | Failure::SqlParsingFailure(text),
            ) => text,
            None => "it gives no reason".to_owned(),
        }),
        None => Err("it gave no answer".to_owned()),
    }
}

/// The rows of the partitions, one after the other.
fn fetch(partitions: Vec<PartitionLocation>, security: Security) -> BoxStream<'static, Result<RecordBatch>> {
    stream::iter(partitions)
        .map(move |partition| fetch_partition(partition, security.clone()))
        .buffered(FETCHED_AHEAD)
        .try_flatten()
        .try_filter(|batch| ready(batch.num_rows() > 0))
        .boxed()
}

async fn fetch_partition(
    partition: PartitionLocation,
    security: Security,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let layout = partition.layout();
    let (Some(executor), Some(id)) = (partition.executor_meta, partition.partition_id) else {
        return Err(Error::Failed("a result of the query has no place".to_owned()).into());
    };
    let port = u16::try_from(executor.port).unwrap_or_default();
    let place = format!("{}:{port}", executor.host);
    let failed = |reason: String| Error::Fetch { executor: place.clone(), reason };
    let (retries, wait) = RETRIES;
    let client = BallistaClient::try_new(
        &executor.host,
        port,
        MESSAGE_BYTES as usize,
        security.has_tls(),
        Some(security.results_endpoint()),
        retries,
        wait,
        0,
        0,
    );
    let mut client = client.await.map_err(|error| failed(error.to_string()))?;
    let batches = client.fetch_partition(&executor.id, &id.into(), partition.file_id, layout, true).await;
    let batches = batches.map_err(|error| failed(error.to_string()))?;
    let lost = move |error: DataFusionError| {
        Error::Fetch { executor: place.clone(), reason: error.to_string() }.into()
    };
    Ok(batches.map_err(lost).boxed())
}

/// The message in the debug output of the error that a task failed with, or all of it: `… Execution("no file")`.
fn message_of(failure: &str) -> String {
    // Quotes in a message are escaped.
    let message = failure.rsplit_once("(\"").map(|(_, message)| message);
    let unescaped = message.and_then(|message| {
        let mut text = String::new();
        let mut characters = message.chars();
        loop {
            match characters.next()? {
                '"' => return Some(text),
                '\\' => match characters.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    escaped @ ('"' | '\'' | '\\') => text.push(escaped),
                    other => text.extend(['\\', other]),
                },
                character => text.push(character),
            }
        }
    });
    unescaped.unwrap_or_else(|| failure.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_task_is_found_in_its_debug_output() {
        let message = "a(\"b\").jpg: \\ no\nimage";
        let failure = format!("Job failed: DataFusionError(Shared(External(Execution({message:?}))))");
        assert_eq!(message_of(&failure), message);
        assert_eq!(message_of("no executor for 60 s"), "no executor for 60 s");
        assert_eq!(message_of("cut off: Execution(\"no"), "cut off: Execution(\"no");
    }
}
