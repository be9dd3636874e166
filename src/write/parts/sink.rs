//! The sink of a resumable COPY: writes one part after the other with DataFusion's sink.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::ObjectStore;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
#[cfg(feature = "cluster")]
use futures::TryStreamExt;
use tracing::Instrument;

use super::failed::FailedRows;
use super::folder::{Folder, Writers};
use super::option::Resumable;
use super::part::{Next, Parts};
#[cfg(feature = "cluster")]
use super::task::WritePartsExec;
#[cfg(feature = "cluster")]
use super::task_parts::TaskParts;
use crate::failures::QueryFailures;
use crate::resume::{Begin, KeySet, StatementRecord};
use crate::write::failed::ErrorsFile;
use crate::write::files::{
    Discarded, SinkMetrics, StagedStore, Target, forget_listings, one_file, with_store,
};

/// Adds to a folder the rows that are not there yet.
#[derive(Debug)]
pub(super) struct PartsSink {
    /// The format's operator, of which only the sink is used.
    pub(super) writer: DataSinkExec,
    pub(super) target: Target,
    pub(super) resumable: Resumable,
    /// To the scan.
    pub(super) begin: Begin,
    pub(super) failures: QueryFailures,
    /// Lists the rows that failed, of all runs.
    pub(super) errors: Option<ErrorsFile>,
    /// The tasks that write, if they run on a cluster.
    #[cfg(feature = "cluster")]
    pub(super) tasks: Option<TaskParts>,
    pub(super) metrics: ExecutionPlanMetricsSet,
}

#[async_trait]
impl DataSink for PartsSink {
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.writer.metrics().unwrap_or_default();
        metrics.extend(self.metrics.clone_inner());
        Some(metrics)
    }

    fn schema(&self) -> &SchemaRef {
        #[cfg(feature = "cluster")]
        if self.tasks.is_some() {
            return WritePartsExec::written();
        }
        self.writer.sink().schema()
    }

    /// # Errors
    /// Those of the folder, the query and the format; a statement that is stopped.
    async fn write_all(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let span = tracing::debug_span!("write", target = %self.target.url()).or_current();
        let written = self.write(data, context).instrument(span).await;
        forget_listings(&context.runtime_env(), &self.target);
        written
    }
}

impl PartsSink {
    async fn write(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let store = context.runtime_env().object_store(self.target.url())?;
        if let Some(errors) = &self.errors {
            errors.check(context).await?;
        }
        let record = self.record().await?;
        let mut folder = Folder::claim(&self.target, Arc::clone(&store), &record, self.writers()).await?;
        let _running = self.begin.stoppable.run(context.session_config().options());
        let (finished, memory) = finished(&folder, context).await?;
        let failed = Arc::new(FailedRows::default());
        self.failures.tell(Arc::clone(&failed) as _);
        let metrics = SinkMetrics::new(&self.metrics);
        #[cfg(feature = "cluster")]
        if let Some(tasks) = &self.tasks {
            tasks.begin(folder.run());
            self.begin.without(finished);
            return self.gather(metrics.measure(data), folder, &failed, context, &metrics).await;
        }
        self.begin.without(finished);
        let Resumable { positions, commit_rows, .. } = &self.resumable;
        let (positions, stoppable) = (positions.clone(), self.begin.stoppable.clone());
        let (data, waiting) = (metrics.measure(data), memory.new_empty());
        let parts = Parts::new(data, positions, *commit_rows, stoppable, Arc::clone(&failed), waiting);
        let mut rows = 0;
        loop {
            match parts.wait().await {
                Next::Rows => rows += self.write_part(&parts, &mut folder, &store, context, &metrics).await?,
                Next::Skipped => folder.commit(None, 0, 0, &parts.complete().await).await?,
                Next::End => break,
            }
        }
        metrics.end();
        let ended = parts.end().await;
        self.failures.end_listing();
        let listed = self.list_errors(&folder, &failed, context, &metrics).await;
        // An error of the query is the reason for all others.
        let is_complete = ended?;
        listed?;
        folder.end(is_complete).await?;
        if is_complete { Ok(rows) } else { Err(self.stopped(&folder, rows)) }
    }

    fn stopped(&self, folder: &Folder, rows: u64) -> DataFusionError {
        let all = folder.log().rows(None);
        self.target.refused(format!(
            "stopped with {all} rows committed, {rows} of them in this run; the same statement continues from there"
        ))
    }

    fn writers(&self) -> Writers {
        #[cfg(feature = "cluster")]
        if self.tasks.is_some() {
            return Writers::Tasks;
        }
        Writers::One
    }

    /// Waits for the tasks, which write the parts; `data` has a row of each that has ended.
    #[cfg(feature = "cluster")]
    async fn gather(
        &self,
        mut data: SendableRecordBatchStream,
        mut folder: Folder,
        failed: &FailedRows,
        context: &TaskContext,
        metrics: &SinkMetrics,
    ) -> Result<u64> {
        let all = async move {
            while data.try_next().await?.is_some() {}
            Ok(())
        };
        // Dropped, the tasks end.
        let ended: Result<()> = tokio::select! {
            biased;
            () = self.begin.stoppable.clone().soon() => Ok(()),
            ended = all => ended,
        };
        metrics.end();
        self.failures.end_listing();
        let is_complete = ended.is_ok() && !self.begin.stoppable.is_cut();
        if !is_complete {
            // Some tasks may not have ended: their commits come before this or never.
            folder.end_tasks(false).await?;
        }
        folder.catch_up().await?;
        let listed = self.list_errors(&folder, failed, context, metrics).await;
        ended?;
        listed?;
        let rows = folder.log().rows(Some(folder.run()));
        if !is_complete {
            return Err(self.stopped(&folder, rows));
        }
        folder.end_tasks(true).await?;
        Ok(rows)
    }

    async fn write_part(
        &self,
        parts: &Parts,
        folder: &mut Folder,
        store: &Arc<dyn ObjectStore>,
        context: &Arc<TaskContext>,
        metrics: &SinkMetrics,
    ) -> Result<u64> {
        let before = metrics.stored_bytes.value();
        let stored = metrics.stored_bytes.clone();
        let staged = StagedStore::open_part(&self.target, Arc::clone(store), stored, folder.part_prefix());
        let staged = Arc::new(staged.await?);
        let _discarded = Discarded(Arc::clone(&staged));
        let to_staged =
            one_file(&with_store(context, &self.target, Arc::clone(&staged) as Arc<dyn ObjectStore>))?;
        let rows = match self.writer.sink().write_all(parts.rows(), &to_staged).await {
            Ok(rows) => rows,
            Err(error) => return Err(staged.fail(error).await),
        };
        let bytes = metrics.stored_bytes.value() - before;
        folder.commit(Some(&staged), rows, bytes as u64, &parts.complete().await).await?;
        Ok(rows)
    }

    /// Writes the errors file, if there is to be one: what failed in the rows that are committed, by any run, and in others
    /// by this one.
    async fn list_errors(
        &self,
        folder: &Folder,
        failed: &FailedRows,
        context: &TaskContext,
        metrics: &SinkMetrics,
    ) -> Result<()> {
        let Some(file) = &self.errors else { return Ok(()) };
        let mut open = file.open(file.rows(), context, metrics.listed_failures.clone()).await?;
        for name in folder.log().error_files(folder.run()) {
            file.list(folder.log().errors(name).await?).await?;
        }
        file.list(failed.rest()).await?;
        open.complete().await?;
        open.commit().await
    }

    /// What must stay the same, with the digests of all models.
    async fn record(&self) -> Result<StatementRecord> {
        let models = self.resumable.models.clone().digested().await?;
        Ok(StatementRecord { models, ..self.resumable.record.clone() })
    }
}

impl DisplayAs for PartsSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.writer.sink().fmt_as(format, f)
    }
}

/// The keys that are finished, and the reservation of their memory.
async fn finished(folder: &Folder, context: &TaskContext) -> Result<(KeySet, MemoryReservation)> {
    let memory = MemoryConsumer::new("Resume").register(context.memory_pool());
    memory.try_grow((folder.log().finished() as usize).saturating_mul(size_of::<u128>()))?;
    let hashes = folder.log().finished_hashes().await?;
    let sorted = SpawnedTask::spawn_blocking(move || KeySet::of_hashes(hashes)).join().await;
    Ok((sorted.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?, memory))
}
