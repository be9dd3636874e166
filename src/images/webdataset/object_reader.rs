//! An object as a blocking `Read`: a few MiB at a time, the next chunk prefetched while one is read.
//!
//! Requests are short, so that a slow reader does not hold a connection open and a failure costs only a few MiB.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use datafusion::common::runtime::SpawnedTask;
use datafusion::object_store::{self, GetOptions, ObjectMeta, ObjectStore};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use tokio::runtime::Handle;

use crate::stores::explain;

/// Bytes per request.
const CHUNK_BYTES: u64 = 4 << 20;
/// Bytes that a reader holds: the current chunk and the next.
pub(crate) const HELD_BYTES: usize = 2 * CHUNK_BYTES as usize;

/// Reads an object sequentially.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    store: Arc<dyn ObjectStore>,
    object: ObjectMeta,
    runtime: Handle,
    chunk: Bytes,
    next: Option<SpawnedTask<object_store::Result<Bytes>>>,
    /// Start of the request after `next`.
    position: u64,
    metrics: ReadMetrics,
}

/// Metrics of reading.
#[derive(Debug, Clone)]
pub(crate) struct ReadMetrics {
    bytes_read: Count,
    /// Waiting for the store, beyond what was requested ahead.
    read_time: Time,
}

impl ReadMetrics {
    pub(crate) fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            bytes_read: MetricBuilder::new(set).counter("bytes_read", partition),
            read_time: MetricBuilder::new(set).subset_time("read_time", partition),
        }
    }
}

impl ObjectReader {
    /// A reader for threads outside of `runtime`, which runs the requests.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        object: ObjectMeta,
        runtime: Handle,
        metrics: ReadMetrics,
    ) -> Self {
        Self { store, object, runtime, chunk: Bytes::new(), next: None, position: 0, metrics }
    }

    /// Requests the next bytes, if there are any.
    fn request(&mut self) {
        let range = self.position..self.position.saturating_add(CHUNK_BYTES).min(self.object.size);
        if range.is_empty() {
            return;
        }
        self.position = range.end;
        let store = Arc::clone(&self.store);
        let path = self.object.location.clone();
        // An object replaced during reading must fail instead of giving a mixture of two versions.
        let options = GetOptions::new().with_range(Some(range)).with_if_match(self.object.e_tag.clone());
        let _runtime = self.runtime.enter();
        self.next =
            Some(SpawnedTask::spawn(async move { store.get_opts(&path, options).await?.bytes().await }));
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            if self.next.is_none() {
                self.request();
            }
            let Some(next) = self.next.take() else { return Ok(0) };
            let timer = self.metrics.read_time.timer();
            let chunk = self.runtime.block_on(next.join()).map_err(io::Error::from)?;
            timer.done();
            self.chunk = chunk.map_err(|error| io::Error::new(kind_of(&error), explain(&error)))?;
            self.metrics.bytes_read.add(self.chunk.len());
            self.request();
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

fn kind_of(error: &object_store::Error) -> io::ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::ConnectionAborted,
    }
}
