//! Local files as a store that allocates no more than a file has.
//!
//! A reader asks for the ranges that a file's own metadata names, such as the columns of a Parquet file, and
//! [`LocalFileSystem`] allocates them before it reads.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Local files, of which no range is read that ends beyond them.
#[derive(Debug, Default)]
pub(super) struct LocalStore(LocalFileSystem);

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let size = self.0.head(path).await?.size;
        match ranges.iter().map(|range| range.end).max().filter(|end| *end > size) {
            None => self.0.get_ranges(path, ranges).await,
            Some(end) => {
                let reason = format!(
                    "'/{path}' has {size} bytes, and is to be read to byte {end}: it is damaged, or was cut meanwhile"
                );
                Err(Error::Generic { store: "LocalFileSystem", source: reason.into() })
            }
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ranges_beyond_the_end_of_a_file_are_refused_before_memory_is_allocated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ten.bin");
        std::fs::write(&file, [7; 10]).unwrap();
        let (store, path) = (LocalStore::default(), Path::from_absolute_path(&file).unwrap());
        let read = store.get_ranges(&path, &[0..2, 8..10]).await.unwrap();
        assert_eq!(read, [Bytes::from_static(&[7, 7]), Bytes::from_static(&[7, 7])]);
        let error = store.get_ranges(&path, &[0..2, 4..1 << 60]).await.unwrap_err().to_string();
        assert!(error.contains("ten.bin' has 10 bytes"), "{error}");
    }
}
