//! An object as a `Read`, for a thread that may block: a few MiB at a time, the next while one is used.
//!
//! Each request is short, so that a slow reader keeps no connection waiting and a failure costs a few MiB.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use datafusion::common::runtime::SpawnedTask;
use datafusion::object_store::{self, GetOptions, ObjectMeta, ObjectStore};
use tokio::runtime::Handle;

use crate::stores::explain;

/// Bytes of a request.
const CHUNK_BYTES: u64 = 4 << 20;
/// Bytes that a reader holds: what it reads from, and what is on its way.
pub(crate) const HELD_BYTES: usize = 2 * CHUNK_BYTES as usize;

/// Reads an object from its beginning to its end.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    store: Arc<dyn ObjectStore>,
    object: ObjectMeta,
    runtime: Handle,
    chunk: Bytes,
    next: Option<SpawnedTask<object_store::Result<Bytes>>>,
    /// Where the request after `next` begins.
    position: u64,
}

impl ObjectReader {
    /// A reader for threads outside of `runtime`, which carries out the requests.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, object: ObjectMeta, runtime: Handle) -> Self {
        Self { store, object, runtime, chunk: Bytes::new(), next: None, position: 0 }
    }

    /// Asks for the next bytes, if there are any.
    fn request(&mut self) {
        let range = self.position..self.position.saturating_add(CHUNK_BYTES).min(self.object.size);
        if range.is_empty() {
            return;
        }
        self.position = range.end;
        let store = Arc::clone(&self.store);
        let path = self.object.location.clone();
        // What is replaced while it is read would be a mixture of two objects.
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
            let chunk = self.runtime.block_on(next.join()).map_err(io::Error::from)?;
            self.chunk = chunk.map_err(|error| io::Error::new(kind_of(&error), explain(&error)))?;
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
