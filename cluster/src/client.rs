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

use ballista_core::BALLISTA_VERSION;
use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{ExecuteQueryParams, KeyValuePair, PartitionLocation};
use ballista_core::version::{check_compatibility, insert_version_header, version_from_metadata};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::job::{Job, SchedulerClient};
use crate::settings::MESSAGE_BYTES;
use crate::{Address, Error};

/// Partitions that are asked for ahead of the one that is read.
const FETCHED_AHEAD: usize = 4;
/// Attempts to fetch a partition after the first, and milliseconds between them.
const RETRIES: (u8, u64) = (3, 250);

/// Runs plans on the cluster of a scheduler.
#[derive(Clone)]
pub struct Client {
    address: Address,
    codec: Arc<dyn PhysicalExtensionCodec>,
}

impl Client {
    /// A client that is not connected yet. `codec` writes the plans.
    #[must_use]
    pub fn new(address: Address, codec: Arc<dyn PhysicalExtensionCodec>) -> Self {
        Self { address, codec }
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

    /// The rows of a plan by [`Self::encode`] with these settings, partition by partition. Nothing is sent before the
    /// first poll. The job is cancelled if the stream is dropped before its end.
    #[must_use]
    pub fn run(&self, plan: Vec<u8>, settings: &ConfigOptions) -> BoxStream<'static, Result<RecordBatch>> {
        let settings =
            settings.entries().into_iter().map(|entry| KeyValuePair { key: entry.key, value: entry.value });
        let query = ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(plan)),
            settings: settings.collect(),
            session_id: Uuid::new_v4().to_string(),
            operation_id: Uuid::new_v4().to_string(),
        };
        let address = self.address.clone();
        stream::once(async move {
            let scheduler = connect(&address).await?;
            let partitions = finish(scheduler, query, &address).await?;
            Ok::<_, datafusion::error::DataFusionError>(fetch(partitions))
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

async fn connect(address: &Address) -> Result<SchedulerClient, Error> {
    let scheduler = SchedulerClient::connect(address.url())
        .await
        .map_err(|error| Error::Unreachable { address: address.to_string(), reason: innermost(&error) })?;
    Ok(scheduler
        .max_encoding_message_size(MESSAGE_BYTES as usize)
        .max_decoding_message_size(MESSAGE_BYTES as usize))
}

/// Waits for the end of a query, and returns where its results are.
async fn finish(
    mut scheduler: SchedulerClient,
    query: ExecuteQueryParams,
    address: &Address,
) -> Result<Vec<PartitionLocation>, Error> {
    let refused = |reason: String| Error::Refused { address: address.to_string(), reason };
    let mut request = tonic::Request::new(query);
    insert_version_header(request.metadata_mut());
    let response = scheduler.execute_query_push(request).await;
    let response = response.map_err(|status| refused(status.message().to_owned()))?;
    let version = version_from_metadata(response.metadata()).map(ToOwned::to_owned);
    let mut job = Job::new(scheduler);
    check_compatibility(Some(BALLISTA_VERSION), version.as_deref()).map_err(refused)?;
    let lost = |reason: String| Error::Lost { address: address.to_string(), reason };
    let mut updates = response.into_inner();
    loop {
        let update = updates.message().await.map_err(|status| lost(status.message().to_owned()))?;
        let update = update.ok_or_else(|| lost("it closed the connection".to_owned()))?;
        let Some(update) = update.status else { continue };
        job.set_id(&update.job_id);
        match update.status {
            None | Some(Status::Queued(_) | Status::Running(_)) => {}
            Some(Status::Failed(failed)) => {
                job.ended();
                return Err(Error::Failed(reason(&failed.error)));
            }
            Some(Status::Successful(successful)) => {
                job.ended();
                if tracing::enabled!(tracing::Level::DEBUG) {
                    job.log_stages().await;
                }
                return Ok(successful.partition_location);
            }
        }
    }
}

/// The rows of the partitions, one after the other.
fn fetch(partitions: Vec<PartitionLocation>) -> BoxStream<'static, Result<RecordBatch>> {
    stream::iter(partitions)
        .map(fetch_partition)
        .buffered(FETCHED_AHEAD)
        .try_flatten()
        .try_filter(|batch| ready(batch.num_rows() > 0))
        .boxed()
}

async fn fetch_partition(partition: PartitionLocation) -> Result<BoxStream<'static, Result<RecordBatch>>> {
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
        false,
        None,
        retries,
        wait,
        0,
        0,
    );
    let mut client = client.await.map_err(|error| failed(error.to_string()))?;
    let batches = client.fetch_partition(&executor.id, &id.into(), partition.file_id, layout, true).await;
    let batches = batches.map_err(|error| failed(error.to_string()))?;
    let lost = move |error: datafusion::error::DataFusionError| {
        Error::Fetch { executor: place.clone(), reason: error.to_string() }.into()
    };
    Ok(batches.map_err(lost).boxed())
}

/// The message in the debug output of the error that a task failed with, or all of it: `… Execution("no file")`.
fn reason(failure: &str) -> String {
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

/// The last of an error's causes: those before say that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_task_is_found_in_its_debug_output() {
        let message = "a(\"b\").jpg: \\ no\nimage";
        let failure = format!("Job failed: DataFusionError(Shared(External(Execution({message:?}))))");
        assert_eq!(reason(&failure), message);
        assert_eq!(reason("no executor for 60 s"), "no executor for 60 s");
        assert_eq!(reason("cut off: Execution(\"no"), "cut off: Execution(\"no");
    }
}
