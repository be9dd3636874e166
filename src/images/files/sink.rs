//! Writes the rows of a query as files, several at a time, in bounded memory.

use std::fmt;
use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::datasource::sink::DataSink;
use datafusion::error::DataFusionError;
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
use crate::failures::{FailedRow, QueryFailures, Stage};
use crate::images::decode::Format;

/// Files being written at the same time. Their bytes are those of the batch, not copies.
const CONCURRENT_WRITES: usize = 16;

/// Writes each row to a file below a folder of a store.
#[derive(Debug)]
pub(crate) struct ImageFilesSink {
    config: FileSinkConfig,
    columns: Columns,
    /// Those of the query, among which rows without a file are listed.
    query_failures: QueryFailures,
    metrics: ExecutionPlanMetricsSet,
}

impl ImageFilesSink {
    pub(crate) fn new(config: FileSinkConfig, columns: Columns, query_failures: QueryFailures) -> Self {
        Self { config, columns, query_failures, metrics: ExecutionPlanMetricsSet::new() }
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
    /// A file that can't be written; a row without an image, if `inference.on_error` is `fail`; more failed rows than the
    /// query may have.
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
            options,
            query_failures: &self.query_failures,
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
    options: InferenceOptions,
    query_failures: &'a QueryFailures,
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
            match self.file(&values, row) {
                Ok(file) => files.extend(file),
                Err(error) => {
                    self.list_unwritten().await?;
                    return Err(error);
                }
            }
        }
        self.list_unwritten().await?;
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

    /// Lists the batch's rows without a file that nobody has listed.
    async fn list_unwritten(&mut self) -> Result<()> {
        let (failed, null) = (mem::take(&mut self.failures.failed), mem::take(&mut self.failures.null));
        if failed.is_empty() && null.is_empty() {
            return Ok(());
        }
        let (to, options) = (self.query_failures.clone(), self.options.clone());
        let listing = SpawnedTask::spawn_blocking(move || {
            to.add_failed(failed.len(), failed);
            to.list(null);
            to.check(&options)
        });
        listing.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
    }

    /// Path and content of a row's file; `None` if the row has no image.
    fn file(&mut self, values: &Values, row: usize) -> Result<Option<(Path, Bytes)>> {
        let images = ImageArray::try_new(&values.contents)?;
        let name = values.name(row);
        let format = match (images.get(row), images.reason(row)) {
            (Some(bytes), _) => Format::of(bytes).ok_or(Unwritten::NoImage),
            (None, Some(reason)) => Err(Unwritten::Unread(reason)),
            (None, None) => Err(Unwritten::Null),
        };
        let format = match (format, self.options.on_error) {
            (Ok(format), _) => format,
            (Err(why), OnError::Null | OnError::Skip) => {
                self.failed.add(1);
                self.failures.add(name, &why);
                return Ok(None);
            }
            (Err(why), OnError::Fail) => {
                self.failures.add(name, &why);
                let (name, reason) = (name.unwrap_or("a row without a name"), why.reason());
                return Err(self.query_failures.end(exec_datafusion_err!(
                    "{name} can't be written: {reason} (inference.on_error is 'fail')"
                )));
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

/// Why a row has no file.
#[derive(Debug, Clone, Copy)]
enum Unwritten<'a> {
    /// Its bytes are something else.
    NoImage,
    /// There is none, or a function gave none, which has reported why.
    Null,
    /// Its file could not be read, which the scan has reported.
    Unread(&'a str),
}

impl Unwritten<'_> {
    fn reason(&self) -> &str {
        match self {
            Self::NoImage => "its bytes are not an image of a known format",
            Self::Null => "its image is NULL",
            Self::Unread(reason) => reason,
        }
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
    /// Of the batch, those that fail here.
    failed: Vec<FailedRow>,
    /// Of the batch, those that are NULL.
    null: Vec<FailedRow>,
}

impl Failures {
    fn add(&mut self, name: Option<&str>, why: &Unwritten<'_>) {
        let (path, error) = (name.map(str::to_owned), why.reason().to_owned());
        self.rows += 1;
        self.first.get_or_insert_with(|| (name.unwrap_or("NULL").to_owned(), error.clone()));
        let row = FailedRow { path, stage: Stage::Write, error, model: None };
        match why {
            Unwritten::NoImage => self.failed.push(row),
            Unwritten::Null => self.null.push(row),
            Unwritten::Unread(_) => {}
        }
    }

    fn report(&self, written: usize) {
        if let Some((name, reason)) = &self.first {
            tracing::warn!(rows = self.rows, written, first = %name, %reason, "rows without an image were not written");
        }
    }
}
