//! The physical node that reads shards: several per partition, each partition on a blocking thread.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::{ObjectMeta, ObjectStore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::columns::to_batch;
use super::object_reader::{HELD_BYTES, ObjectReader, ReadMetrics};
use super::samples::{Sample, read_samples};
use crate::Error;
use crate::config::InferenceOptions;
use crate::failures::{FailedRow, QueryFailures, Stage};
use crate::images::listing::Location;
use crate::images::scan::LargestFile;

/// Bytes of samples that complete a batch of fewer than `batch_size` rows.
const BATCH_BYTES: usize = 8 << 20;

/// The parameters of a scan of shards.
#[derive(Clone, Debug)]
pub(crate) struct ShardScan {
    pub(crate) location: Location,
    /// Shards of each partition, in reading order.
    pub(crate) partitions: Vec<Vec<ObjectMeta>>,
    pub(crate) projection: Vec<usize>,
    pub(crate) schema: SchemaRef,
    /// Rows after which each partition ends.
    pub(crate) limit: Option<usize>,
    /// Where images that can't be read are reported.
    pub(crate) failures: QueryFailures,
}

/// Reads the shards of a WebDataset, one row per sample.
#[derive(Debug)]
pub struct WebDatasetExec {
    scan: ShardScan,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WebDatasetExec {
    pub(crate) fn new(scan: ShardScan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            Partitioning::UnknownPartitioning(scan.partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { scan, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for WebDatasetExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShardScan { location, partitions, schema, limit, .. } = &self.scan;
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let shards: usize = partitions.iter().map(Vec::len).sum();
        write!(
            f,
            "WebDatasetExec: location={location}, shards={shards}, projection=[{}]",
            columns.join(", ")
        )?;
        match limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for WebDatasetExec {
    fn name(&self) -> &'static str {
        "WebDatasetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // A second run of the plan must not add to the metrics of the first.
        Ok(Arc::new(Self::new(self.scan.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let shards = self.scan.partitions[partition].clone();
        let batches = read_shards(self.scan.clone(), shards, partition, &self.metrics, &context)?;
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.scan.schema), batches);
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn fetch(&self) -> Option<usize> {
        self.scan.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::new(ShardScan { limit, ..self.scan.clone() })))
    }
}

/// The rows of `shards`, which are those of a partition. A thread of their own reads them, from the first poll on.
///
/// # Errors
/// A location without a store.
pub(super) fn read_shards(
    scan: ShardScan,
    shards: Vec<ObjectMeta>,
    partition: usize,
    metrics: &ExecutionPlanMetricsSet,
    context: &TaskContext,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let options = InferenceOptions::of(context.session_config().options());
    let span = tracing::debug_span!("read", location = %scan.location, partition).or_current();
    let reader = ShardReader {
        store: context.runtime_env().object_store(scan.location.store_url())?,
        shards,
        scan,
        batch_size: context.session_config().batch_size(),
        metrics: BaselineMetrics::new(metrics, partition),
        read: ReadMetrics::new(metrics, partition),
        reservation: MemoryConsumer::new("WebDatasetExec").register(context.memory_pool()),
        largest: LargestFile::of(&options.bounds, context.memory_pool().as_ref()),
        options,
    };
    let start = move || {
        let (sender, batches) = mpsc::channel(1);
        let runtime = Handle::current();
        let read = move || span.in_scope(|| reader.read_all(&runtime, &sender));
        let thread = SpawnedTask::spawn_blocking(read);
        (batches, Some(thread))
    };
    let batches = stream::once(async move { start() }).flat_map(|running| {
        stream::try_unfold(running, |(mut batches, mut thread)| async move {
            match batches.recv().await {
                Some(batch) => Ok(Some((batch, (batches, thread)))),
                None => end_of(thread.take()).await.map(|()| None),
            }
        })
    });
    Ok(batches.boxed())
}

/// Returns the result of the thread that read the batches.
async fn end_of(thread: Option<SpawnedTask<Result<()>>>) -> Result<()> {
    match thread {
        Some(thread) => {
            thread.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
        }
        None => Ok(()),
    }
}

/// The work of one partition.
struct ShardReader {
    store: Arc<dyn ObjectStore>,
    shards: Vec<ObjectMeta>,
    scan: ShardScan,
    batch_size: usize,
    metrics: BaselineMetrics,
    read: ReadMetrics,
    reservation: MemoryReservation,
    options: InferenceOptions,
    largest: LargestFile,
}

impl ShardReader {
    /// Reads the shards in order, until the limit is reached or the receiver is dropped.
    fn read_all(self, runtime: &Handle, sender: &mpsc::Sender<RecordBatch>) -> Result<()> {
        let mut rows_left = self.scan.limit.unwrap_or(usize::MAX);
        for shard in &self.shards {
            if rows_left == 0 || sender.is_closed() {
                break;
            }
            self.read_shard(shard, runtime, sender, &mut rows_left)?;
        }
        Ok(())
    }

    fn read_shard(
        &self,
        shard: &ObjectMeta,
        runtime: &Handle,
        sender: &mpsc::Sender<RecordBatch>,
        rows_left: &mut usize,
    ) -> Result<()> {
        let path = self.scan.location.path_of(&shard.location);
        let reader =
            ObjectReader::new(Arc::clone(&self.store), shard.clone(), runtime.clone(), self.read.clone());
        // A shard is read however much others hold: what it takes is bounded.
        self.reservation.resize(HELD_BYTES);
        let bounds = (&self.options.bounds, self.largest);
        let (mut samples, mut bytes, mut outcome) = (Vec::new(), 0, Ok(()));
        let read = read_samples(reader, &path, &self.scan.projection, bounds, |sample| {
            *rows_left -= 1;
            bytes += sample.bytes();
            samples.push(sample);
            if samples.len() >= self.batch_size || bytes >= BATCH_BYTES || *rows_left == 0 {
                outcome = self.send(&mut samples, sender);
                bytes = 0;
            }
            self.reservation.resize(HELD_BYTES.saturating_add(bytes));
            if outcome.is_err() || *rows_left == 0 || sender.is_closed() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        outcome?;
        read.map_err(|error| Error::Images { location: path, reason: error.to_string() })?;
        self.send(&mut samples, sender)
    }

    /// Reports the samples whose images can't be read.
    fn report(&self, samples: &[Sample]) -> Result<()> {
        let failed = samples.iter().filter_map(|sample| {
            let error = sample.image.as_ref()?.as_ref().err()?.clone();
            Some(FailedRow { path: Some(sample.path.clone()), stage: Stage::Read, error, model: None })
        });
        failed.into_iter().try_for_each(|failed| self.scan.failures.add_one(failed, &self.options))
    }

    fn send(&self, samples: &mut Vec<Sample>, sender: &mpsc::Sender<RecordBatch>) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let timer = self.metrics.elapsed_compute().timer();
        let batch = to_batch(samples, &self.scan.projection, &self.scan.schema)?;
        timer.done();
        self.report(samples)?;
        samples.clear();
        self.metrics.record_output(batch.num_rows());
        // If the receiver is dropped, the reader stops at its next check.
        let _ = sender.blocking_send(batch);
        Ok(())
    }
}
