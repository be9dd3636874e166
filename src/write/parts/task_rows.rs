//! The rows of a task on their way into its part, whose keys are noted.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::ready;
use futures::stream::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::failed::FailedRows;
use super::part::Finished;
use crate::failures::FailedRow;
use crate::resume::hashes;

/// Notes the keys of a task's rows.
#[derive(Debug)]
pub(super) struct TaskRows {
    /// Positions of the key's columns.
    positions: Vec<usize>,
    failed: Arc<FailedRows>,
    /// Of the keys, and of the failures that wait for their rows.
    memory: Mutex<MemoryReservation>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    /// Hashes of the keys.
    keys: Vec<u128>,
    /// Hashes of the paths, if they are not the keys.
    paths: Vec<u128>,
}

impl TaskRows {
    pub(super) fn new(positions: Vec<usize>, failed: Arc<FailedRows>, memory: MemoryReservation) -> Self {
        Self { positions, failed, memory: Mutex::new(memory), noted: Mutex::default() }
    }

    /// The batches of `rows` that have any.
    pub(super) fn note(self: &Arc<Self>, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (this, schema): (_, SchemaRef) = (Arc::clone(self), rows.schema());
        let noted = rows.try_filter(|batch| ready(batch.num_rows() > 0)).map(move |batch| {
            let batch = batch?;
            let mut noted = this.noted.lock();
            noted.keys.extend(hashes(&batch, &this.positions)?);
            if this.positions.len() > 1 {
                noted.paths.extend(hashes(&batch, &this.positions[..1])?);
            }
            let keys = (noted.keys.len() + noted.paths.len()) * size_of::<u128>();
            this.memory.lock().try_resize(keys + this.failed.bytes())?;
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, noted))
    }

    /// What the part finishes, and what failed in rows that are not in it.
    pub(super) fn finished(&self) -> (Finished, Vec<FailedRow>) {
        let Noted { mut keys, paths } = std::mem::take(&mut *self.noted.lock());
        let (failed, skipped) = self.failed.of_part(if self.positions.len() == 1 { &keys } else { &paths });
        keys.extend(&skipped);
        (Finished { hashes: keys, skipped: skipped.len() as u64, failed }, self.failed.rest())
    }
}

/// Reads on until the first rows, which the result begins with; `None` if there are none.
///
/// # Errors
/// Those of the rows.
pub(super) async fn begun(mut rows: SendableRecordBatchStream) -> Result<Option<SendableRecordBatchStream>> {
    let schema = rows.schema();
    let Some(first) = rows.try_next().await? else { return Ok(None) };
    let rows = futures::stream::iter([Ok(first)]).chain(rows);
    Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, rows))))
}
