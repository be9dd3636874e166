//! Writes the rows of a query as files, several at a time, in bounded memory.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::datasource::sink::DataSink;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectStore, ObjectStoreExt};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use futures::{StreamExt, TryStreamExt};
use seequel_udfs::ImageArray;

use super::columns::{Columns, Values};
use super::names::{Names, partition_folder};
use crate::config::{InferenceOptions, OnError};
use crate::images::decode::Format;

/// Files being written at the same time. Their bytes are those of the batch, not copies.
const CONCURRENT_WRITES: usize = 16;

/// Writes each row to a file below a folder of a store.
#[derive(Debug)]
pub(crate) struct ImageFilesSink {
    config: FileSinkConfig,
    columns: Columns,
    metrics: ExecutionPlanMetricsSet,
}

impl ImageFilesSink {
    pub(crate) fn new(config: FileSinkConfig, columns: Columns) -> Self {
        Self { config, columns, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for ImageFilesSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageFilesSink(folder={})", self.config.original_url)
    }
}

#[async_trait]
impl DataSink for ImageFilesSink {
    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn schema(&self) -> &SchemaRef {
        self.config.output_schema()
    }

    /// Writes all rows and returns the number of files. Rows without an image are counted and reported in one warning.
    ///
    /// # Errors
    /// A file that can't be written; a row without an image, if `inference.on_error` is `fail`.
    async fn write_all(
        &self,
        mut data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let store = context.runtime_env().object_store(&self.config.object_store_url)?;
        let reservation = MemoryConsumer::new("ImageFilesSink").register(context.memory_pool());
        let options = InferenceOptions::of(context.session_config().options());
        let mut run = Run {
            columns: &self.columns,
            folder: self.config.table_paths[0].prefix(),
            names: Names::new(reservation),
            on_error: options.on_error,
            failures: Failures::default(),
            files: MetricBuilder::new(&self.metrics).global_counter("written_files"),
            bytes: MetricBuilder::new(&self.metrics).global_counter("written_bytes"),
            failed: MetricBuilder::new(&self.metrics).global_counter("failed_rows"),
        };
        while let Some(batch) = data.next().await.transpose()? {
            run.write(&batch, store.as_ref()).await?;
        }
        run.failures.report(run.files.value());
        Ok(run.files.value() as u64)
    }
}

/// A run of the statement.
struct Run<'a> {
    columns: &'a Columns,
    folder: &'a Path,
    names: Names,
    on_error: OnError,
    failures: Failures,
    files: Count,
    bytes: Count,
    failed: Count,
}

impl Run<'_> {
    async fn write(&mut self, batch: &RecordBatch, store: &dyn ObjectStore) -> Result<()> {
        let values = self.columns.of(batch)?;
        let mut files = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            files.extend(self.file(&values, row)?);
        }
        let mut writes = futures::stream::iter(files)
            .map(|(path, content)| async move {
                let size = content.len();
                store.put(&path, content.into()).await.map(|_| size)
            })
            .buffer_unordered(CONCURRENT_WRITES);
        while let Some(size) = writes.try_next().await? {
            self.files.add(1);
            self.bytes.add(size);
        }
        Ok(())
    }

    /// Path and content of a row's file; `None` if the row has no image.
    fn file(&mut self, values: &Values, row: usize) -> Result<Option<(Path, Bytes)>> {
        let images = ImageArray::try_new(&values.contents)?;
        let name = values.name(row);
        let format = match images.get(row) {
            Some(bytes) => Format::of(bytes).ok_or("its bytes are not an image of a known format"),
            None => Err(images.reason(row).unwrap_or("its image is NULL")),
        };
        let format = match (format, self.on_error) {
            (Ok(format), _) => format,
            (Err(reason), OnError::Null) => {
                self.failed.add(1);
                self.failures.add(name, reason);
                return Ok(None);
            }
            (Err(reason), OnError::Fail) => {
                let name = name.unwrap_or("a row without a name");
                return exec_err!("{name} can't be written: {reason} (inference.on_error is 'fail')");
            }
        };
        let folders: String =
            values.partitions(row).map(|(key, value)| partition_folder(key, value)).collect();
        let path = self.names.path(&folders, name, format)?;
        let path = Path::parse(format!("{}/{path}", self.folder))
            .map_err(|error| exec_datafusion_err!("{path} can't be the name of a file: {error}"))?;
        let content = Content { contents: Arc::clone(&values.contents), row };
        Ok(Some((path, Bytes::from_owner(content))))
    }
}

/// The image of a row, kept in its batch instead of being copied.
struct Content {
    contents: ArrayRef,
    row: usize,
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        // A row without an image has no content.
        ImageArray::try_new(&self.contents).ok().and_then(|images| images.get(self.row)).unwrap_or_default()
    }
}

/// The rows that were not written.
#[derive(Debug, Default)]
struct Failures {
    rows: usize,
    first: Option<(String, String)>,
}

impl Failures {
    fn add(&mut self, name: Option<&str>, reason: &str) {
        self.rows += 1;
        self.first.get_or_insert_with(|| (name.unwrap_or("NULL").to_owned(), reason.to_owned()));
    }

    fn report(&self, written: usize) {
        if let Some((name, reason)) = &self.first {
            tracing::warn!(rows = self.rows, written, first = %name, %reason, "rows without an image were not written");
        }
    }
}
