//! The errors file of a COPY: `OPTIONS ('errors' 'errors.parquet')` lists the rows that failed, one a row.
//!
//! ```text
//!  QueryFailures ─ bounded channel ─► blocking thread: Parquet ─► temporary file ─► StagedStore ─► errors.parquet
//!                                                                 before the results are put in place, and after
//! ```
//!
//! The thread writes to a temporary file, so that it never waits for the tasks that wait for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::spill_file::SpillFile;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::object_store::{ObjectStoreExt, WriteMultipart};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::metrics::Count;
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::Error;
use crate::failures::{FailedRow, QueryFailures};
use crate::write::files::{StagedStore, Target};

/// The option of COPY, as DataFusion's parser names it.
pub(crate) const ERRORS: &str = "format.errors";

/// Rows of a batch.
const BATCH_ROWS: usize = 1024;

/// Encoded bytes that complete a row group.
const ROW_GROUP_BYTES: usize = 4 << 20;

/// Parts of the file being uploaded at the same time.
const CONCURRENT_PARTS: usize = 2;

/// The location of an errors file, as given in OPTIONS.
#[derive(Debug, Clone)]
pub(in crate::write) struct ErrorsOption(String);

impl ErrorsOption {
    /// Takes the option from `copy`, if it has it.
    ///
    /// # Errors
    /// A file that is not one of Parquet, or that is the statement's target or in it.
    pub(in crate::write) fn take(copy: &mut CopyTo) -> Result<Option<Self>> {
        let Some(written) = copy.options.remove(ERRORS) else { return Ok(None) };
        let refused = |reason: &str| Error::Target { target: written.clone(), reason: reason.to_owned() };
        if Path::new(&written).extension().is_none_or(|extension| extension != "parquet") {
            let reason = "the errors are written as one Parquet file; name it, such as 'errors.parquet'";
            return Err(refused(reason).into());
        }
        let (file, results) = (ListingTableUrl::parse(&written)?, ListingTableUrl::parse(&copy.output_url)?);
        if file == results {
            return Err(refused("the option errors names the file of the results; name another").into());
        }
        if file.object_store() == results.object_store() && file.prefix().prefix_matches(results.prefix()) {
            let reason = "the option errors names a file in the folder of the results, whose tables would read it; name \
                          one beside the folder";
            return Err(refused(reason).into());
        }
        Ok(Some(Self(written)))
    }

    /// The file of a statement that continues, which lists what it is given.
    ///
    /// # Errors
    /// A location that can't be read.
    pub(in crate::write) fn of_parts(&self) -> Result<ErrorsFile> {
        let target = Target::of_file(self.0.clone(), ListingTableUrl::parse(&self.0)?);
        Ok(ErrorsFile { target, failures: QueryFailures::default(), waiting: Mutex::default() })
    }

    /// The file, for the failures of the query with the settings `config`.
    pub(in crate::write) fn in_query(&self, config: &ConfigOptions) -> Result<ErrorsFile> {
        let target = Target::of_file(self.0.clone(), ListingTableUrl::parse(&self.0)?);
        let failures = QueryFailures::of(config);
        let waiting = Mutex::new(Some(failures.listen()));
        Ok(ErrorsFile { target, failures, waiting })
    }
}

/// The errors file of a query.
#[derive(Debug)]
pub(in crate::write) struct ErrorsFile {
    target: Target,
    failures: QueryFailures,
    /// Rows that failed before the sink was asked for its first row: some operators work as soon as they are started.
    waiting: Mutex<Option<Receiver<FailedRow>>>,
}

impl ErrorsFile {
    /// The query's failed rows, from its start. If they are dropped, none is listed, and nobody waits for that.
    pub(in crate::write) fn rows(&self) -> Receiver<FailedRow> {
        self.waiting.lock().take().unwrap_or_else(|| self.failures.listen())
    }

    /// Whether the file can be written at the end, as far as is known before.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::write) async fn check(&self, context: &TaskContext) -> Result<()> {
        // Dropped, it leaves nothing.
        self.open(self.rows(), context, Count::new()).await.map(drop)
    }

    /// Lists `rows`, of a statement that continues.
    ///
    /// # Errors
    /// A bug: a thread that panics.
    pub(in crate::write) async fn list(&self, rows: Vec<FailedRow>) -> Result<()> {
        let failures = self.failures.clone();
        let listed = SpawnedTask::spawn_blocking(move || failures.add_failed(rows.len(), rows)).join().await;
        listed.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))
    }

    /// `error` of the query. If failed rows are the reason, `open` is put in its place, and the error names it.
    pub(in crate::write) async fn ended_by(
        &self,
        open: OpenErrors,
        error: DataFusionError,
    ) -> DataFusionError {
        if !self.failures.have_ended_it() {
            return error;
        }
        let mut open = open;
        let listed = match open.complete().await {
            Ok(()) => open.commit().await,
            incomplete => incomplete,
        };
        match (listed, error) {
            (Ok(()), DataFusionError::Execution(reason)) => DataFusionError::Execution(format!(
                "{reason}; '{}' lists what failed until then",
                self.target.written()
            )),
            (Ok(()), error) => error,
            (Err(reason), error) => {
                tracing::warn!("the rows that failed can't be listed: {reason}");
                error
            }
        }
    }

    /// Starts to list `rows`. Their number is added to `listed`.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(in crate::write) async fn open(
        &self,
        rows: Receiver<FailedRow>,
        context: &TaskContext,
        listed: Count,
    ) -> Result<OpenErrors> {
        let runtime = context.runtime_env();
        let inner = runtime.object_store(self.target.url())?;
        let store = Arc::new(StagedStore::open(&self.target, inner, Count::new()).await?);
        let file = runtime.disk_manager.create_tmp_file("listing failed rows")?;
        let mut errors = OpenErrors {
            target: self.target.clone(),
            failures: self.failures.clone(),
            store,
            file: Arc::clone(&file),
            writer: None,
        };
        errors.writer = Some(SpawnedTask::spawn_blocking(move || write(&rows, file.as_ref(), &listed)));
        Ok(errors)
    }
}

/// An errors file that is being written. Dropping it removes it, unless it is in its place.
pub(in crate::write) struct OpenErrors {
    target: Target,
    failures: QueryFailures,
    store: Arc<StagedStore>,
    file: Arc<dyn SpillFile>,
    /// Ends when the failures do.
    writer: Option<SpawnedTask<Result<()>>>,
}

impl OpenErrors {
    /// Lists no more rows, and completes the file, which is not in its place yet.
    ///
    /// # Errors
    /// If it can't be written.
    pub(in crate::write) async fn complete(&mut self) -> Result<()> {
        self.failures.end_listing();
        let completed = self.write_out().await;
        match completed {
            Ok(()) => Ok(()),
            Err(error) => Err(self.store.fail(error).await),
        }
    }

    async fn write_out(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
        }
        let upload = self.store.put_multipart(self.target.url().prefix()).await?;
        let mut upload = WriteMultipart::new(upload);
        let mut bytes = self.file.read_stream()?;
        while let Some(bytes) = bytes.try_next().await? {
            upload.wait_for_capacity(CONCURRENT_PARTS).await?;
            upload.put(bytes);
        }
        upload.finish().await?;
        Ok(())
    }

    /// Puts the completed file in its place.
    ///
    /// # Errors
    /// If that fails.
    pub(in crate::write) async fn commit(self) -> Result<()> {
        self.store.commit().await
    }
}

impl Drop for OpenErrors {
    fn drop(&mut self) {
        self.failures.end_listing();
        self.store.discard();
    }
}

/// Writes `rows` until they end.
fn write(rows: &Receiver<FailedRow>, file: &dyn SpillFile, listed: &Count) -> Result<()> {
    let schema = schema();
    let mut to = file.open_writer()?;
    let mut writer = ArrowWriter::try_new(&mut to, Arc::clone(&schema), None)?;
    while let Ok(first) = rows.recv() {
        let batch: Vec<_> = [first].into_iter().chain(rows.try_iter()).take(BATCH_ROWS).collect();
        writer.write(&batch_of(&batch, &schema)?)?;
        listed.add(batch.len());
        if writer.in_progress_size() >= ROW_GROUP_BYTES {
            writer.flush()?;
        }
    }
    writer.close()?;
    to.finish()
}

fn schema() -> SchemaRef {
    let field = |(name, is_nullable)| Field::new(name, DataType::Utf8, is_nullable);
    let fields = [("path", true), ("stage", false), ("error", false), ("model", true)].map(field);
    Arc::new(Schema::new(fields.to_vec()))
}

fn batch_of(rows: &[FailedRow], schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.path.as_deref()).collect::<StringArray>()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.stage.to_string()))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.error))),
        Arc::new(rows.iter().map(|row| row.model.as_deref()).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
