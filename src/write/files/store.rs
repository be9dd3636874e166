//! The store that sinks write to: files stay apart from the target until the statement has ended.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult, UploadPart,
};
use datafusion::physical_plan::metrics::Count;
use futures::TryFutureExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::local::{self, LocalFiles};
use super::remote::RemoteFiles;
use super::target::Target;
use super::upload::{LocalUpload, run_blocking};

/// The files of one statement.
#[derive(Debug)]
enum Files {
    Local(Arc<LocalFiles>),
    Remote(Box<RemoteFiles>),
}

/// A store in which files are written for later; what it reads is another store's.
#[derive(Debug)]
pub(in crate::write) struct StagedStore {
    inner: Arc<dyn ObjectStore>,
    files: Files,
    first_error: Arc<Mutex<Option<StoreError>>>,
    /// Bytes that the sink has written.
    stored: Count,
    /// Begins the names of the files.
    prefix: String,
    /// Where the files belong.
    locations: Mutex<Vec<Path>>,
}

impl StagedStore {
    /// Checks `target`, whose files are in the store `inner`; counts the bytes written in `stored`.
    ///
    /// # Errors
    /// A target that its mode excludes or that can't be written.
    pub(in crate::write) async fn open(
        target: &Target,
        inner: Arc<dyn ObjectStore>,
        stored: Count,
    ) -> Result<Self> {
        Self::open_of(target, inner, stored, std::process::id().to_string()).await
    }

    async fn open_of(
        target: &Target,
        inner: Arc<dyn ObjectStore>,
        stored: Count,
        owner: String,
    ) -> Result<Self> {
        let files = match target.local_path() {
            Some(path) => {
                let target = target.clone();
                let opened = SpawnedTask::spawn_blocking(move || LocalFiles::open(&target, path, &owner));
                Files::Local(Arc::new(opened.join().await.map_err(join_error)??))
            }
            None => Files::Remote(Box::new(RemoteFiles::open(target, Arc::clone(&inner)).await?)),
        };
        let (prefix, locations) = (String::new(), Mutex::default());
        Ok(Self { inner, files, first_error: Arc::default(), stored, prefix, locations })
    }

    /// As [`Self::open`], for files whose names begin with `prefix`.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub(in crate::write) async fn open_part(
        target: &Target,
        inner: Arc<dyn ObjectStore>,
        stored: Count,
        prefix: String,
    ) -> Result<Self> {
        Ok(Self { prefix, ..Self::open(target, inner, stored).await? })
    }

    /// As [`Self::open_part`], by one of several machines: what is hidden is `run`'s, whatever number the process has.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    #[cfg(feature = "cluster")]
    pub(in crate::write) async fn open_part_of_run(
        target: &Target,
        inner: Arc<dyn ObjectStore>,
        stored: Count,
        prefix: String,
        run: &str,
    ) -> Result<Self> {
        Ok(Self { prefix, ..Self::open_of(target, inner, stored, run.to_owned()).await? })
    }

    /// Where the files that were written belong.
    pub(in crate::write) fn locations(&self) -> Vec<Path> {
        self.locations.lock().clone()
    }

    /// The place of a file that the sink calls `location`, which is noted.
    fn place(&self, location: &Path) -> Path {
        let place = match location.filename() {
            Some(name) if !self.prefix.is_empty() => {
                let folder: Vec<_> = location.parts().collect();
                let folder = Path::from_iter(folder.into_iter().rev().skip(1).rev());
                folder.join(format!("{}{name}", self.prefix))
            }
            _ => location.clone(),
        };
        self.locations.lock().push(place.clone());
        place
    }

    /// Puts the files in their place.
    ///
    /// # Errors
    /// If that fails, with the target as it was; or if files that were replaced remain.
    pub(in crate::write) async fn commit(&self) -> Result<()> {
        match &self.files {
            Files::Local(files) => {
                let files = Arc::clone(files);
                SpawnedTask::spawn_blocking(move || files.commit()).join().await.map_err(join_error)?
            }
            Files::Remote(files) => files.commit().await,
        }
    }

    /// As [`Self::commit`], and returns once the files are on the disk and will be found there after a loss of power.
    ///
    /// # Errors
    /// Those of [`Self::commit`].
    pub(in crate::write) async fn commit_durably(&self) -> Result<()> {
        let Files::Local(files) = &self.files else { return self.commit().await };
        let files = Arc::clone(files);
        SpawnedTask::spawn_blocking(move || files.commit_durably()).join().await.map_err(join_error)?
    }

    /// Removes the files, after their sink failed with `error`; returns the reason for it, which sinks often omit.
    pub(in crate::write) async fn fail(&self, error: DataFusionError) -> DataFusionError {
        let first = self.first_error.lock().take();
        match &self.files {
            Files::Local(files) => {
                let discarded = Arc::clone(files);
                // It runs unless the process ends.
                let _ = SpawnedTask::spawn_blocking(move || discarded.discard()).join().await;
                match first {
                    Some(StoreError::Generic { source, .. }) => files.refused(source),
                    first => first.map_or(error, DataFusionError::from),
                }
            }
            Files::Remote(files) => {
                files.abort().await;
                first.map_or(error, DataFusionError::from)
            }
        }
    }

    /// Removes the files of a dropped statement, unless they are in their place: at once, because a dropped statement
    /// is often the last work of its process. Uploads to remote stores remain unfinished.
    pub(in crate::write) fn discard(&self) {
        if let Files::Local(files) = &self.files {
            files.discard();
        }
    }
}

impl fmt::Display for StagedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for StagedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        PutOptions { tags, attributes, extensions, .. }: PutOptions,
    ) -> StoreResult<PutResult> {
        let options = PutMultipartOptions { tags, attributes, extensions };
        let done = match &self.files {
            Files::Local(_) => {
                let mut upload = self.put_multipart_opts(location, options).await?;
                upload.put_part(payload).await
            }
            Files::Remote(files) => {
                self.stored.add(payload.content_length());
                files.put(&self.place(location), payload, options).await
            }
        };
        done.map_err(|error| keep_first(&self.first_error, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let location = &self.place(location);
        let created = match &self.files {
            Files::Local(files) => {
                let (files, location) = (Arc::clone(files), location.clone());
                let file = run_blocking(move || files.create(&location)).await;
                file.map(|file| Box::new(LocalUpload::new(file)) as Box<dyn MultipartUpload>)
            }
            Files::Remote(files) => files.create(location, options).await,
        };
        let upload = created.map_err(|error| keep_first(&self.first_error, error))?;
        let first_error = Arc::clone(&self.first_error);
        Ok(Box::new(Watched { upload, first_error, stored: self.stored.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Removes the files of a statement that is dropped before its end.
pub(in crate::write) struct Discarded(pub(in crate::write) Arc<StagedStore>);

impl Drop for Discarded {
    fn drop(&mut self) {
        self.0.discard();
    }
}

/// The number of files in the folder `target`, of which at most `MOST_COUNTED` are counted.
///
/// # Errors
/// A target that is no folder; those of the store.
pub(in crate::write) async fn count_files(target: &Target, store: Arc<dyn ObjectStore>) -> Result<usize> {
    match target.local_path() {
        Some(path) => {
            let target = target.clone();
            let counted = SpawnedTask::spawn_blocking(move || local::count_files(&target, &path));
            counted.join().await.map_err(join_error)?
        }
        None => RemoteFiles::open(target, store).await?.count().await,
    }
}

/// An upload whose first error is kept and whose bytes are counted.
#[derive(Debug)]
struct Watched {
    upload: Box<dyn MultipartUpload>,
    first_error: Arc<Mutex<Option<StoreError>>>,
    stored: Count,
}

#[async_trait]
impl MultipartUpload for Watched {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.stored.add(data.content_length());
        let first_error = Arc::clone(&self.first_error);
        Box::pin(self.upload.put_part(data).map_err(move |error| keep_first(&first_error, error)))
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.upload.abort().await
    }
}

/// Keeps the error if it is the first, and returns one with its message.
fn keep_first(first: &Mutex<Option<StoreError>>, error: StoreError) -> StoreError {
    let copy = StoreError::Generic { store: "target", source: error.to_string().into() };
    first.lock().get_or_insert(error);
    copy
}

fn join_error(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}
