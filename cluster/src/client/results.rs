//! The rows of a query, all of them fetched before the first is passed on.
//!
//! Rows that were passed on can't be taken back. An executor that is lost while its results are fetched therefore costs
//! another run of the query, and no row: none of it was seen.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};

use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

/// Bytes of rows in memory; others wait in a file without a name.
const HELD_BYTES: usize = 64 << 20;

/// All of `rows`, once they are here.
///
/// # Errors
/// Those of the rows, or of the disk.
pub(crate) async fn gathered(
    mut rows: BoxStream<'static, Result<RecordBatch>>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let (mut held, mut bytes, mut spool) = (vec![], 0, None);
    while let Some(batch) = rows.try_next().await? {
        bytes += batch.get_array_memory_size();
        held.push(batch);
        if bytes > HELD_BYTES {
            let batches = std::mem::take(&mut held);
            spool = Some(blocking(move || Spool::with(spool, &batches)).await?);
            bytes = 0;
        }
    }
    let held = stream::iter(held).map(Ok);
    let Some(spool) = spool else { return Ok(held.boxed()) };
    let reader = blocking(move || spool.finish()).await?;
    let spooled = stream::try_unfold(reader, |mut reader| async move {
        blocking(move || Ok(reader.next().transpose()?.map(|batch| (batch, reader)))).await
    });
    Ok(spooled.chain(held).boxed())
}

async fn blocking<T: Send + 'static>(run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ran = SpawnedTask::spawn_blocking(run).join().await;
    ran.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

/// Batches in a file.
struct Spool(StreamWriter<BufWriter<File>>);

impl Spool {
    fn with(spool: Option<Self>, batches: &[RecordBatch]) -> Result<Self> {
        let mut spool = match (spool, batches.first()) {
            (None, Some(batch)) => {
                let file = BufWriter::new(tempfile::tempfile()?);
                Self(StreamWriter::try_new(file, &batch.schema())?)
            }
            (Some(spool), _) => spool,
            (None, None) => return datafusion::common::internal_err!("no rows to keep"),
        };
        for batch in batches {
            spool.0.write(batch)?;
        }
        Ok(spool)
    }

    fn finish(self) -> Result<StreamReader<BufReader<File>>> {
        let file = self.0.into_inner()?.into_inner();
        let mut file = file.map_err(|error| DataFusionError::IoError(error.into_error()))?;
        file.rewind()?;
        Ok(StreamReader::try_new(BufReader::new(file), None)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, BinaryArray, Int64Array};
    use datafusion::common::exec_err;

    use super::*;

    /// Batches of 9 MB.
    fn batches(count: i64) -> impl Iterator<Item = Result<RecordBatch>> {
        (0..count).map(|number| {
            let payload: ArrayRef = Arc::new(BinaryArray::from_iter_values([vec![0; 9_000_000]]));
            let number: ArrayRef = Arc::new(Int64Array::from(vec![number]));
            Ok(RecordBatch::try_from_iter([("number", number), ("payload", payload)])?)
        })
    }

    #[tokio::test]
    async fn rows_come_back_in_their_order_from_memory_and_disk() -> Result<()> {
        for count in [0, 3, 20] {
            let expected: Vec<_> = batches(count).collect::<Result<_>>()?;
            let rows: Vec<_> = gathered(stream::iter(batches(count)).boxed()).await?.try_collect().await?;
            assert!(rows == expected, "{count} batches");
        }
        Ok(())
    }

    #[tokio::test]
    async fn nothing_is_passed_on_of_rows_that_end_with_an_error() {
        let rows = stream::iter(batches(2)).chain(stream::iter([exec_err!("lost")]));
        assert!(gathered(rows.boxed()).await.err().is_some_and(|error| error.to_string().contains("lost")));
    }
}
