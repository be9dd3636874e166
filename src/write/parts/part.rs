//! Cuts a query's rows into parts: streams that end after some bytes, rows or time.

use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::failed::FailedRows;
use crate::exec::exchange::Morsel;
use crate::failures::FailedRow;
use crate::resume::{Stoppable, hashes};

/// Bytes of rows that complete a part; that much is lost by a process that is killed, and written to a file.
const PART_BYTES: usize = 32 << 20;
/// Time after which a part is committed that has fewer.
const PART_TIME: Duration = Duration::from_secs(30);

/// What the next part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Rows,
    /// Only rows that have failed and are left out.
    Skipped,
    /// There is none.
    End,
}

/// What a part finishes.
#[derive(Debug)]
pub(super) struct Finished {
    /// Hashes of the keys of its rows, and of rows that were left out.
    pub(super) hashes: Vec<u128>,
    /// The number of the latter.
    pub(super) skipped: u64,
    /// What failed in these rows.
    pub(super) failed: Vec<FailedRow>,
}

/// A query's rows, of which one part after the other is taken.
pub(super) struct Parts {
    schema: SchemaRef,
    state: Arc<Mutex<State>>,
}

struct State {
    rows: SendableRecordBatchStream,
    /// Positions of the key's columns.
    positions: Vec<usize>,
    commit_rows: Option<NonZeroUsize>,
    stoppable: Stoppable,
    failed: Arc<FailedRows>,
    /// Of the failures that wait for their rows.
    memory: MemoryReservation,
    /// The first rows of the next part.
    first: Option<RecordBatch>,
    /// Hashes of the keys of the part's rows.
    hashes: Vec<u128>,
    /// Hashes of their paths, if they are not the keys.
    paths: Vec<u128>,
    bytes: usize,
    /// Whether there are no more rows, or none are wanted.
    has_ended: bool,
    /// The query's, kept until the rows before it are committed.
    error: Option<DataFusionError>,
}

impl Parts {
    /// Parts of `rows`, whose keys are in the columns at `positions` and whose failures `failed` is told of; of not much more
    /// than `commit_rows`. `memory` is for the failures.
    pub(super) fn new(
        rows: SendableRecordBatchStream,
        positions: Vec<usize>,
        commit_rows: Option<NonZeroUsize>,
        stoppable: Stoppable,
        failed: Arc<FailedRows>,
        memory: MemoryReservation,
    ) -> Self {
        let schema = rows.schema();
        let state = State {
            rows,
            positions,
            commit_rows,
            stoppable,
            failed,
            memory,
            first: None,
            hashes: vec![],
            paths: vec![],
            bytes: 0,
            has_ended: false,
            error: None,
        };
        Self { schema, state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for the first rows of the next part, or until so much was left out that it is worth one.
    pub(super) async fn wait(&self) -> Next {
        let mut state = self.state.lock().await;
        loop {
            state.first = timeout(PART_TIME, state.next()).await.ok().flatten();
            match &state.first {
                Some(_) => return Next::Rows,
                None if state.failed.left_out() > 0 => return Next::Skipped,
                None if state.has_ended => return Next::End,
                None => {}
            }
        }
    }

    /// The rows of the next part.
    pub(super) fn rows(&self) -> SendableRecordBatchStream {
        let state = Arc::clone(&self.state);
        let begun = async move {
            let (state, deadline) = (state.lock_owned().await, Instant::now() + PART_TIME);
            stream::try_unfold(state, move |mut state| async move {
                let Some(batch) = state.next_of_part(deadline).await else { return Ok(None) };
                state.add_keys(&batch)?;
                let Morsel { batch, bytes } = Morsel::of(batch);
                state.bytes += bytes;
                Ok(Some((batch, state)))
            })
        };
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(begun).flatten()))
    }

    /// Ends a part; returns what it finishes.
    pub(super) async fn complete(&self) -> Finished {
        let mut state = self.state.lock().await;
        state.bytes = 0;
        let (mut hashes, paths) = (mem::take(&mut state.hashes), mem::take(&mut state.paths));
        let is_path = state.positions.len() == 1;
        let (failed, skipped) = state.failed.of_part(if is_path { &hashes } else { &paths });
        hashes.extend(&skipped);
        Finished { hashes, skipped: skipped.len() as u64, failed }
    }

    /// Whether the last part had the last rows that the query has, and not only those before the statement was stopped.
    ///
    /// # Errors
    /// The query's.
    pub(super) async fn end(&self) -> Result<bool> {
        let mut state = self.state.lock().await;
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(!state.stoppable.is_cut()),
        }
    }
}

impl State {
    /// The next rows, unless the part is complete.
    async fn next_of_part(&mut self, deadline: Instant) -> Option<RecordBatch> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.has_enough_rows() || self.bytes >= PART_BYTES {
            return None;
        }
        timeout_at(deadline, self.next()).await.ok().flatten()
    }

    /// Whether the part has the rows that were asked for, counting those that were left out.
    fn has_enough_rows(&self) -> bool {
        self.commit_rows.is_some_and(|rows| self.hashes.len() + self.failed.left_out() >= rows.get())
    }

    fn add_keys(&mut self, batch: &RecordBatch) -> Result<()> {
        self.hashes.extend(hashes(batch, &self.positions)?);
        if self.positions.len() > 1 {
            self.paths.extend(hashes(batch, &self.positions[..1])?);
        }
        Ok(())
    }

    /// The next rows; `None` if there are no more, or enough were left out. It can be dropped while it waits.
    async fn next(&mut self) -> Option<RecordBatch> {
        while !self.has_ended {
            let next = tokio::select! {
                biased;
                () = self.stoppable.now() => None,
                next = self.rows.next() => next,
            };
            let reserved = self.memory.try_resize(self.failed.bytes());
            let next = next.map(|next| next.and_then(|batch| reserved.map(|()| batch)));
            match next {
                Some(Ok(batch)) if batch.num_rows() == 0 && self.has_enough_rows() => return None,
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => return Some(batch),
                Some(Err(error)) => {
                    self.error = Some(error);
                    self.has_ended = true;
                }
                None => self.has_ended = true,
            }
        }
        None
    }
}
