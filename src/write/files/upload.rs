//! The upload of a file on a local disk.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::runtime::SpawnedTask;
use datafusion::object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use parking_lot::Mutex;

/// Writes parts in the order of their creation, each on a blocking thread.
#[derive(Debug)]
pub(super) struct LocalUpload {
    file: Arc<Mutex<File>>,
    offset: u64,
}

impl LocalUpload {
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(Mutex::new(file)), offset: 0 }
    }
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        self.offset += data.content_length() as u64;
        Box::pin(run_blocking(move || {
            let mut file = file.lock();
            file.seek(SeekFrom::Start(offset))?;
            data.iter().try_for_each(|bytes| file.write_all(bytes))
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Runs `work` on a blocking thread; its error is the store's.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done =
        SpawnedTask::spawn_blocking(work).join().await.map_err(|source| Error::JoinError { source })?;
    done.map_err(|error| Error::Generic { store: "LocalFileSystem", source: Box::new(error) })
}
