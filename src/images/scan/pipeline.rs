//! The stream of a scan: lists and selects files, reads them concurrently and packs them into batches.
//!
//! ```text
//! list ─► filter ─► skip ─► limit ─► ahead ─► acquire bytes ─► read, 32 at a time ─► batch_size rows or 8 MiB
//!         on batches   finished            ByteBudget       in listing order
//!         of metadata  rows
//! ```
//!
//! Nothing runs before the first poll; each stage pulls from the previous one, and dropping the stream drops them all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{ObjectMeta, ObjectStore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, Time};
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt, TryReadyChunksError, TryStreamExt};
use tracing::{Instrument, Span};

use super::ahead::list_ahead;
use super::budget::ByteBudget;
use super::columns;
use super::columns::{Reads, Row};
use super::file_size::LargestFile;
use super::reader::{Counters, Reader};
use crate::clock::Clock;
use crate::config::InferenceOptions;
use crate::failures::QueryFailures;
use crate::images::listing::{Details, Location, list};
use crate::resume::Skip;

/// Files read concurrently; enough to hide the latency of an object store.
const MAX_CONCURRENT_READS: usize = 32;
/// Local files that one blocking task reads: switching to another thread and back takes longer than reading a file
/// from the page cache, and disturbs the threads that infer.
const LOCAL_GROUP: usize = 8;
/// Maximum bytes, by the listed sizes, being read at a time.
const MAX_BYTES_IN_FLIGHT: usize = 64 << 20;
/// Image bytes that complete a batch of fewer than `batch_size` rows, so that the first rows are available early.
const BATCH_BYTES: usize = 8 << 20;
/// Files whose metadata is filtered as one batch.
const FILTERED_FILES: usize = 1024;

/// The parameters of a scan: the part of the plan that its stream needs.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// Location of the files.
    pub(crate) location: Location,
    /// The only folder below the location that can contain files that pass the filter.
    pub(crate) folder: Option<StorePath>,
    /// Columns of the table to produce.
    pub(crate) projection: Vec<usize>,
    /// Schema of these columns.
    pub(crate) schema: SchemaRef,
    /// Columns that the filter is evaluated on, all from the listing.
    pub(crate) filter_columns: Vec<usize>,
    /// Schema of these columns.
    pub(crate) filter_schema: SchemaRef,
    /// Files for which this is not true are skipped without being read.
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    /// Leaves out rows that an earlier run of the statement has finished.
    pub(crate) skip: Option<Skip>,
    /// Rows after which the scan ends.
    pub(crate) limit: Option<usize>,
    /// Where files that fail are reported.
    pub(crate) failures: QueryFailures,
}

impl Scan {
    /// The details that the scan needs of each file.
    fn details(&self) -> Details {
        let filtered = self.filter.iter().flat_map(collect_columns);
        let is_named = filtered.into_iter().any(|column| columns::is_metadata(column.name()));
        let is_projected = self.schema.fields().iter().any(|field| columns::is_metadata(field.name()));
        if is_named || is_projected || Reads::of(&self.projection) != Reads::None {
            Details::Metadata
        } else {
            Details::Paths
        }
    }

    /// The batches of this scan.
    ///
    /// # Errors
    /// If the session has no store for the location.
    pub(crate) fn start(
        self,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let started = Started::new(self, context, metrics)?;
        let files = choose(&started.scan, Arc::clone(&started.store), &started.counters);
        Ok(started.rows_of(files))
    }

    /// As [`Self::start`], of `files` that have been listed.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    #[cfg(feature = "cluster")]
    pub(super) fn start_with(
        self,
        files: BoxStream<'static, Result<ObjectMeta>>,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        Ok(Started::new(self, context, metrics)?.rows_of(files))
    }

    /// The files to produce rows for.
    ///
    /// # Errors
    /// If the session has no store for the location; the stream has those of the listing.
    #[cfg(feature = "cluster")]
    pub(super) fn files(
        &self,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<BoxStream<'static, Result<ObjectMeta>>> {
        let started = Started::new(self.clone(), context, metrics)?;
        Ok(choose(&started.scan, started.store, &started.counters))
    }
}

/// A scan that has what it needs of the session.
struct Started {
    scan: Arc<Scan>,
    store: Arc<dyn ObjectStore>,
    counters: Counters,
    batch_size: usize,
    pool: Arc<dyn MemoryPool>,
    largest: LargestFile,
}

impl Started {
    fn new(scan: Scan, context: &TaskContext, metrics: &ExecutionPlanMetricsSet) -> Result<Self> {
        let options = InferenceOptions::of(context.session_config().options());
        Ok(Self {
            largest: LargestFile::of(&options.bounds, context.memory_pool().as_ref()),
            store: context.runtime_env().object_store(scan.location.store_url())?,
            counters: Counters::new(metrics, scan.failures.clone(), options),
            batch_size: context.session_config().batch_size(),
            pool: Arc::clone(context.memory_pool()),
            scan: Arc::new(scan),
        })
    }

    /// The batches of `files`.
    fn rows_of(
        self,
        files: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { scan, store, counters, batch_size, pool, largest } = self;
        let rows = match Reads::of(&scan.projection) {
            Reads::None => files.map_ok(Row::listed).boxed(),
            Reads::Headers | Reads::Files => {
                let budget = Arc::new(ByteBudget::new(MAX_BYTES_IN_FLIGHT, &pool));
                let files = list_ahead(files, pool, counters.chosen_files.clone());
                let files = match &scan.skip {
                    Some(skip) => files.take_until(skip.stoppable.clone().soon()).boxed(),
                    None => files,
                };
                let reader = Reader::new(Arc::clone(&scan), store, counters.clone(), largest);
                read(files, Arc::new(reader), budget, counters.read_wait_time.clone())
            }
        };
        pack(rows, scan, batch_size, counters.baseline)
    }
}

/// The files to produce rows for.
fn choose(
    scan: &Arc<Scan>,
    store: Arc<dyn ObjectStore>,
    counters: &Counters,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let listed_files = counters.listed_files.clone();
    let files = list::list(
        scan.location.clone(),
        scan.folder.as_ref(),
        store,
        scan.details(),
        counters.listing.clone(),
    )
    .inspect_ok(move |_| listed_files.add(1));
    let span = tracing::debug_span!("list", location = %scan.location).or_current();
    let files = Timed { stream: files.boxed(), time: counters.list_time.clone(), waiting: None, span };
    let files = match &scan.filter {
        Some(filter) => apply_filter(files, Arc::clone(scan), Arc::clone(filter)),
        None => files.boxed(),
    };
    let files = match &scan.skip {
        Some(skip) => unfinished(files, skip.clone(), Arc::clone(scan), counters.finished_files.clone()),
        None => files,
    };
    match scan.limit {
        Some(limit) => files.take(limit).boxed(),
        None => files,
    }
}

fn apply_filter(
    files: impl StreamExt<Item = Result<ObjectMeta>> + Send + 'static,
    scan: Arc<Scan>,
    filter: Arc<dyn PhysicalExpr>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    files
        .try_ready_chunks(FILTERED_FILES)
        .map_err(|TryReadyChunksError(_, error)| error)
        .and_then(move |chunk| std::future::ready(passing(chunk, &scan, filter.as_ref())))
        .map_ok(|chunk| stream::iter(chunk).map(Ok))
        .try_flatten()
        .boxed()
}

/// The files for which `filter` is true, neither false nor NULL.
fn passing(files: Vec<ObjectMeta>, scan: &Scan, filter: &dyn PhysicalExpr) -> Result<Vec<ObjectMeta>> {
    let rows: Vec<Row> = files.into_iter().map(Row::listed).collect();
    let batch = columns::to_batch(&rows, &scan.location, &scan.filter_columns, &scan.filter_schema)?;
    let passes = filter.evaluate(&batch)?.into_array(rows.len())?;
    let passes = passes.as_boolean().iter();
    Ok(rows
        .into_iter()
        .zip(passes)
        .filter(|(_, passes)| *passes == Some(true))
        .map(|(row, _)| row.file)
        .collect())
}

/// The files whose rows are not finished.
fn unfinished(
    files: BoxStream<'static, Result<ObjectMeta>>,
    skip: Skip,
    scan: Arc<Scan>,
    finished_files: Count,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let begun = async move {
        let finished = skip.finished().await?;
        Ok::<_, DataFusionError>(files.try_filter(move |file| {
            let is_finished = finished.contains(skip.hash(&scan.location.path_of(&file.location), file));
            finished_files.add(usize::from(is_finished));
            std::future::ready(!is_finished)
        }))
    };
    stream::once(begun).try_flatten().boxed()
}

/// Reads `files` concurrently; bytes are acquired in file order, so that no file waits for a later one.
fn read(
    files: BoxStream<'static, Result<ObjectMeta>>,
    reader: Arc<Reader>,
    budget: Arc<ByteBudget>,
    wait_time: Time,
) -> BoxStream<'static, Result<Row>> {
    let permits = {
        let reader = Arc::clone(&reader);
        files.and_then(move |file| {
            let budget = Arc::clone(&budget);
            let (bytes, wait_time) = (reader.bytes_of(&file), wait_time.clone());
            async move {
                let _timer = wait_time.timer();
                Ok((file, budget.acquire(bytes).await))
            }
        })
    };
    // A permit is returned with its row: bytes buffered to keep the order are still in flight.
    let span = tracing::debug_span!("read", location = %reader.location()).or_current();
    let group = if reader.reads_local_files() { LOCAL_GROUP } else { 1 };
    permits
        .try_ready_chunks(group)
        .map_err(|TryReadyChunksError(_, error)| error)
        .map_ok(move |group| Arc::clone(&reader).read_group(group).instrument(span.clone()))
        .try_buffered(MAX_CONCURRENT_READS / group)
        .map_ok(|rows| stream::iter(rows).map(Ok))
        .try_flatten()
        .map_ok(|(row, _permit)| row)
        .boxed()
}

/// A stream that adds up how long its items were waited for, in a span of its own.
struct Timed<T> {
    stream: BoxStream<'static, T>,
    time: Time,
    /// Since the next item was first polled for.
    waiting: Option<Clock>,
    span: Span,
}

impl<T> Stream for Timed<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { stream, time, waiting, span } = &mut *self;
        let _span = span.enter();
        waiting.get_or_insert_with(|| Clock::start(time));
        let next = ready!(stream.poll_next_unpin(context));
        *waiting = None;
        Poll::Ready(next)
    }
}

/// Packs rows into batches.
fn pack(
    rows: BoxStream<'static, Result<Row>>,
    scan: Arc<Scan>,
    batch_size: usize,
    baseline: BaselineMetrics,
) -> BoxStream<'static, Result<RecordBatch>> {
    stream::try_unfold((rows, scan, baseline), move |(mut rows, scan, baseline)| async move {
        let mut packed = Vec::new();
        let mut bytes = 0;
        while packed.len() < batch_size && bytes < BATCH_BYTES {
            let Some(row) = rows.try_next().await? else { break };
            bytes += row.content.as_ref().map_or(0, Buffer::len);
            packed.push(row);
        }
        if packed.is_empty() {
            return Ok(None);
        }
        let timer = baseline.elapsed_compute().timer();
        let batch = columns::to_batch(&packed, &scan.location, &scan.projection, &scan.schema)?;
        timer.done();
        baseline.record_output(batch.num_rows());
        Ok(Some((batch, (rows, scan, baseline))))
    })
    .boxed()
}
