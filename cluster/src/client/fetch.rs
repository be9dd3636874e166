//! Fetches the results of a job from the executors that have them.

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use futures::future::ready;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::Error;
use crate::connect::{MESSAGE_BYTES, SILENCE, Security};

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
    let rows = partition.partition_stats.and_then(|stats| u64::try_from(stats.num_rows).ok());
    let (Some(executor), Some(id)) = (partition.executor_meta, partition.partition_id) else {
        return Err(Error::Failed("a result of the query has no place".to_owned()).into());
    };
    let port = u16::try_from(executor.port).unwrap_or_default();
    let place = format!("{}:{port}", executor.host);
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
    let mut client = client.await.map_err(|error| failed(&place, error.to_string()))?;
    let batches = client.fetch_partition(&executor.id, &id.into(), partition.file_id, layout, true).await;
    let batches = batches.map_err(|error| failed(&place, error.to_string()))?;
    let lost = move |reason: String| DataFusionError::from(failed(&place, reason));
    Ok(counted(batches, rows, lost).boxed())
}

/// The error of a request for results that failed by `reason`, which is Ballista's debug output of the cause.
fn failed(executor: &str, reason: String) -> Error {
    let executor = executor.to_owned();
    match reason.contains("KeepAliveTimedOut") {
        true => Error::SilentExecutor { executor, seconds: SILENCE.as_secs() },
        false => Error::Fetch { executor, reason },
    }
}

/// The rows of a partition, with an error at their end unless they are as many as its task has written.
fn counted(
    batches: SendableRecordBatchStream,
    rows: Option<u64>,
    lost: impl Fn(String) -> DataFusionError + Send,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    stream::try_unfold((batches, 0, lost), move |(mut batches, had, lost)| async move {
        match batches.try_next().await {
            Err(error) => Err(lost(error.to_string())),
            Ok(Some(batch)) => {
                let had = had + batch.num_rows() as u64;
                Ok(Some((batch, (batches, had, lost))))
            }
            Ok(None) => match rows.filter(|rows| *rows != had) {
                Some(rows) => Err(lost(format!("it gave {had} of {rows} rows"))),
                None => Ok(None),
            },
        }
    })
}
