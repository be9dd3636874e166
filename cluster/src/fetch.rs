//! Fetches the results of a job from the executors that have them.

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::Error;
use crate::security::Security;
use crate::settings::MESSAGE_BYTES;

/// Partitions that are asked for ahead of the one that is read.
const FETCHED_AHEAD: usize = 4;
/// Attempts to fetch a partition after the first, and milliseconds between them.
const RETRIES: (u8, u64) = (3, 250);

/// The rows of the partitions, one after the other.
pub(crate) fn fetch(
    partitions: Vec<PartitionLocation>,
    security: Security,
) -> BoxStream<'static, Result<RecordBatch>> {
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
