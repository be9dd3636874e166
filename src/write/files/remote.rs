//! Files of a statement in a remote store: uploads that are completed only at the end. An object appears when its
//! upload is complete, so nothing is moved.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::Result;
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{
    Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutPayload,
    PutResult, Result as StoreResult, UploadPart,
};
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::target::{Kind, MOST_COUNTED, Mode, Target, is_data};

/// Number of concurrent requests at the end.
const CONCURRENT_REQUESTS: usize = 8;

/// The files of one statement.
#[derive(Debug)]
pub(super) struct RemoteFiles {
    target: Target,
    store: Arc<dyn ObjectStore>,
    uploads: Arc<Mutex<Vec<Upload>>>,
}

/// An upload that has all of its bytes, or one that was given up.
#[derive(Debug)]
enum Upload {
    Parts(StorePath, Box<dyn MultipartUpload>),
    /// For stores that take a file only as a whole, such as a web server.
    Whole(StorePath, PutPayload),
}

impl RemoteFiles {
    /// Checks the target in `store`.
    ///
    /// # Errors
    /// A target that its mode excludes, and errors of the store.
    pub(super) async fn open(target: &Target, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let files = Self { target: target.clone(), store, uploads: Arc::default() };
        files.check().await?;
        Ok(files)
    }

    async fn check(&self) -> Result<()> {
        if self.target.mode != Mode::Error {
            return Ok(());
        }
        match self.target.kind {
            Kind::File => match self.store.head(self.target.url().prefix()).await {
                Ok(_) => Err(self.target.exists()),
                Err(StoreError::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Kind::Folder => {
                let count = self.count().await?;
                if count == 0 { Ok(()) } else { Err(self.target.holds(count)) }
            }
        }
    }

    /// The number of files in the folder, of which at most [`MOST_COUNTED`] are counted.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn count(&self) -> Result<usize> {
        let files = self.data_files().take(MOST_COUNTED);
        Ok(files.try_fold(0, |count, _| ready(Ok(count + 1))).await?)
    }

    /// Begins the upload of a file, which appears with [`Self::commit`].
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn create(
        &self,
        location: &StorePath,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let upload = self.store.put_multipart_opts(location, options).await?;
        let uploads = Arc::clone(&self.uploads);
        Ok(Box::new(Pending { location: location.clone(), upload: Some(upload), uploads }))
    }

    /// Keeps a file for [`Self::commit`], in memory if the store can't upload it in parts.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn put(
        &self,
        location: &StorePath,
        payload: PutPayload,
        options: PutMultipartOptions,
    ) -> StoreResult<()> {
        match self.create(location, options).await {
            Ok(mut upload) => {
                upload.put_part(payload).await?;
                upload.complete().await?;
            }
            Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
                self.uploads.lock().push(Upload::Whole(location.clone(), payload));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Completes the uploads, and deletes the files that they replace.
    ///
    /// # Errors
    /// Those of the store. If an upload can't be completed, the files added before are deleted.
    pub(super) async fn commit(&self) -> Result<()> {
        self.check().await?;
        let uploads = std::mem::take(&mut *self.uploads.lock());
        let new: Vec<_> = uploads.iter().map(|upload| upload.location().clone()).collect();
        let replaced = match (self.target.kind, self.target.mode) {
            (Kind::Folder, Mode::Overwrite) => self.replaced_files(&new).await?,
            (Kind::Folder, Mode::Append) => {
                self.check_names(new.clone()).await?;
                Vec::new()
            }
            _ => Vec::new(),
        };
        let completed = Mutex::new(Vec::new());
        let completion =
            stream::iter(uploads).map(Ok).try_for_each_concurrent(CONCURRENT_REQUESTS, |upload| {
                let completed = &completed;
                async move {
                    let location = upload.complete(self.store.as_ref()).await?;
                    completed.lock().push(location);
                    Ok::<_, StoreError>(())
                }
            });
        if let Err(error) = completion.await {
            if self.target.kind == Kind::Folder {
                let added = completed.into_inner().into_iter().filter(|file| !replaced.contains(file));
                // The error to report is the first.
                let _ = self.delete(added.collect()).await;
            }
            return Err(error.into());
        }
        let new: HashSet<_> = new.into_iter().collect();
        let old = replaced.into_iter().filter(|file| !new.contains(file)).collect();
        self.delete(old).await.map_err(|error| {
            self.target
                .refused(format!("the new files are in place, but not all old ones were deleted ({error})"))
        })
    }

    /// # Errors
    /// If there are files of these names.
    async fn check_names(&self, new: Vec<StorePath>) -> Result<()> {
        let heads = stream::iter(new).map(|file| async move { self.store.head(&file).await });
        let heads = heads.buffer_unordered(CONCURRENT_REQUESTS);
        let found = heads.filter_map(|found| {
            ready(match found {
                Err(StoreError::NotFound { .. }) => None,
                found => Some(found),
            })
        });
        match pin!(found).try_next().await? {
            Some(file) => Err(self.target.has(&file.location)),
            None => Ok(()),
        }
    }

    /// Tells the store that the uploads are not continued.
    pub(super) async fn abort(&self) {
        let uploads = std::mem::take(&mut *self.uploads.lock());
        for upload in uploads {
            if let Upload::Parts(_, mut upload) = upload {
                // Stores remove what remains according to their own rules.
                let _ = upload.abort().await;
            }
        }
    }

    async fn replaced_files(&self, new: &[StorePath]) -> Result<Vec<StorePath>> {
        let replaced = self.data_files().try_filter(|file| ready(self.target.replaces(file, new)));
        Ok(replaced.try_collect().await?)
    }

    async fn delete(&self, files: Vec<StorePath>) -> StoreResult<()> {
        let deleted = self.store.delete_stream(stream::iter(files).map(Ok).boxed());
        let missing_is_fine = deleted.filter_map(|deleted| {
            ready(match deleted {
                Ok(_) | Err(StoreError::NotFound { .. }) => None,
                Err(error) => Some(Err(error)),
            })
        });
        missing_is_fine.try_collect().await
    }

    /// The files of the folder and its partitions.
    fn data_files(&self) -> BoxStream<'_, StoreResult<StorePath>> {
        let files = self.store.list(Some(self.target.url().prefix())).map_ok(|file| file.location);
        files.try_filter(|file| ready(self.holds(file))).boxed()
    }

    fn holds(&self, file: &StorePath) -> bool {
        let names: Vec<_> = self.target.url().strip_prefix(file).into_iter().flatten().collect();
        match names.split_last() {
            Some((name, folders)) => is_data(name, false) && folders.iter().all(|name| is_data(name, true)),
            // An object with the folder's own name stands for the folder.
            None => false,
        }
    }
}

impl Upload {
    fn location(&self) -> &StorePath {
        match self {
            Self::Parts(location, _) | Self::Whole(location, _) => location,
        }
    }

    async fn complete(self, store: &dyn ObjectStore) -> StoreResult<StorePath> {
        match self {
            Self::Parts(location, mut upload) => upload.complete().await.map(|_| location),
            Self::Whole(location, payload) => store.put(&location, payload).await.map(|_| location),
        }
    }
}

/// An upload in progress: its completion only keeps it.
#[derive(Debug)]
struct Pending {
    location: StorePath,
    /// `None` once it is kept.
    upload: Option<Box<dyn MultipartUpload>>,
    uploads: Arc<Mutex<Vec<Upload>>>,
}

impl Pending {
    fn keep(&mut self) {
        let kept = self.upload.take().map(|upload| Upload::Parts(self.location.clone(), upload));
        self.uploads.lock().extend(kept);
    }
}

#[async_trait]
impl MultipartUpload for Pending {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match &mut self.upload {
            Some(upload) => upload.put_part(data),
            None => Box::pin(ready(Err(ended()))),
        }
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        self.keep();
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> StoreResult<()> {
        match self.upload.take() {
            Some(mut upload) => upload.abort().await,
            None => Err(ended()),
        }
    }
}

impl Drop for Pending {
    /// Keeps an upload that was given up, so that it is aborted with the statement.
    fn drop(&mut self) {
        self.keep();
    }
}

fn ended() -> StoreError {
    StoreError::Generic { store: "upload", source: "the upload has ended".into() }
}
