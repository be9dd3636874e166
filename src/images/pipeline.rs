//! The stream behind a scan: files are listed, chosen, read side by side and packed into batches.
//!
//! ```text
//! list ─► filter ─► limit ─► acquire bytes ─► read, 32 at a time ─► batch_size rows or 8 MiB
//!         on batches of       ByteBudget       in listing order
//!         metadata
//! ```
//!
//! Nothing runs before the first poll; each stage pulls from the one before, and dropping the stream drops them all.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{self, ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::stream::{self, BoxStream, StreamExt, TryReadyChunksError, TryStreamExt};

use super::budget::{ByteBudget, Permit};
use super::columns::{self, Reads, Row};
use super::header::{Header, MAX_HEADER_BYTES};
use super::listing;
use super::location::Location;

/// Files that are read side by side; enough to hide the latency of an object store.
const MAX_CONCURRENT_READS: usize = 32;
/// Bytes, by the listed sizes, that are being read at a time.
const MAX_BYTES_IN_FLIGHT: usize = 64 << 20;
/// Image bytes that complete a batch of fewer than `batch_size` rows, so that the first rows come early.
const BATCH_BYTES: usize = 8 << 20;
/// Larger files are not read.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Files whose metadata is filtered as one batch.
const FILTERED_FILES: usize = 1024;

/// What a scan is to do; the part of the plan that its stream needs.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// Where the files are.
    pub(crate) location: Location,
    /// Folder below the location that alone can hold files which pass the filter.
    pub(crate) folder: Option<StorePath>,
    /// Columns of the table to produce.
    pub(crate) projection: Vec<usize>,
    /// Schema of these columns.
    pub(crate) schema: SchemaRef,
    /// Columns that the filter is evaluated on, all from the listing.
    pub(crate) filter_columns: Vec<usize>,
    /// Schema of these columns.
    pub(crate) filter_schema: SchemaRef,
    /// Files for which this is not true are left out unread.
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    /// Rows after which the scan ends.
    pub(crate) limit: Option<usize>,
}

/// What a scan counts.
#[derive(Clone, Debug)]
struct Counters {
    baseline: BaselineMetrics,
    listed_files: Count,
    skipped_files: Count,
    opened_files: Count,
    unreadable_files: Count,
    bytes_read: Count,
}

impl Counters {
    fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, 0);
        Self {
            baseline: BaselineMetrics::new(metrics, 0),
            listed_files: counter("listed_files"),
            skipped_files: counter("skipped_files"),
            opened_files: counter("opened_files"),
            unreadable_files: counter("unreadable_files"),
            bytes_read: counter("bytes_read"),
        }
    }
}

impl Scan {
    /// The batches of this scan.
    ///
    /// # Errors
    /// If the session knows no store for the location.
    pub(crate) fn start(
        self,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let store = context.runtime_env().object_store(self.location.store_url())?;
        let budget = Arc::new(ByteBudget::new(MAX_BYTES_IN_FLIGHT, context.memory_pool()));
        let batch_size = context.session_config().batch_size();
        let counters = Counters::new(metrics);
        let scan = Arc::new(self);

        let files = choose(&scan, Arc::clone(&store), &counters);
        let reader = Arc::new(Reader { scan: Arc::clone(&scan), store, counters: counters.clone() });
        let rows = read(files, reader, budget);
        Ok(pack(rows, scan, batch_size, counters.baseline))
    }
}

/// The files to produce rows for.
fn choose(
    scan: &Arc<Scan>,
    store: Arc<dyn ObjectStore>,
    counters: &Counters,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let listed_files = counters.listed_files.clone();
    let files =
        listing::list(scan.location.clone(), scan.folder.as_ref(), store, counters.skipped_files.clone())
            .inspect_ok(move |_| listed_files.add(1));
    let files = match &scan.filter {
        Some(filter) => apply_filter(files, Arc::clone(scan), Arc::clone(filter)),
        None => files.boxed(),
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

/// Reads `files` side by side; bytes are acquired in their order, so that the first in line never waits for a later.
fn read(
    files: BoxStream<'static, Result<ObjectMeta>>,
    reader: Arc<Reader>,
    budget: Arc<ByteBudget>,
) -> BoxStream<'static, Result<Row>> {
    let permits = {
        let reader = Arc::clone(&reader);
        files.and_then(move |file| {
            let budget = Arc::clone(&budget);
            let bytes = reader.bytes_of(&file);
            async move { Ok((budget.acquire(bytes).await?, file)) }
        })
    };
    permits
        .map_ok(move |(permit, file)| read_file(Arc::clone(&reader), file, permit))
        .try_buffered(MAX_CONCURRENT_READS)
        .map_ok(|(row, _permit)| row)
        .boxed()
}

/// The permit comes back with the row: bytes that wait for their turn are still in flight.
async fn read_file(reader: Arc<Reader>, file: ObjectMeta, permit: Permit) -> Result<(Row, Permit)> {
    Ok((reader.read(file).await?, permit))
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

/// Reads of each file as much as the query needs.
#[derive(Debug)]
struct Reader {
    scan: Arc<Scan>,
    store: Arc<dyn ObjectStore>,
    counters: Counters,
}

impl Reader {
    /// Bytes that reading `file` may hold in memory.
    fn bytes_of(&self, file: &ObjectMeta) -> usize {
        let bytes = match Reads::of(&self.scan.projection) {
            Reads::None => 0,
            Reads::Headers => file.size.min(MAX_HEADER_BYTES / 4),
            Reads::Files => file.size.min(MAX_FILE_BYTES),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Reads `file` as far as needed. What can't be read is logged, counted and left NULL: it costs no other row.
    ///
    /// # Errors
    /// A read that was given up, which happens when the runtime shuts down: the file is not to blame.
    async fn read(&self, file: ObjectMeta) -> Result<Row> {
        let mut row = Row::listed(file);
        match self.fill(&mut row).await {
            Ok(()) => {}
            Err(given_up @ object_store::Error::JoinError { .. }) => return Err(given_up.into()),
            Err(reason) => {
                self.counters.unreadable_files.add(1);
                let path = self.scan.location.path_of(&row.file.location);
                tracing::warn!(path, %reason, "a file could not be read; its columns are NULL");
            }
        }
        Ok(row)
    }

    async fn fill(&self, row: &mut Row) -> object_store::Result<()> {
        match Reads::of(&self.scan.projection) {
            Reads::None => {}
            Reads::Headers => row.header = self.read_header(&row.file).await?,
            Reads::Files => {
                let content = self.read_content(&row.file).await?;
                row.header =
                    columns::needs_header(&self.scan.projection).then(|| Header::of(&content)).flatten();
                row.content = Some(content);
            }
        }
        Ok(())
    }

    async fn read_header(&self, file: &ObjectMeta) -> object_store::Result<Option<Header>> {
        self.counters.opened_files.add(usize::from(file.size > 0));
        Header::fetch(self.store.as_ref(), file, |bytes| self.counters.bytes_read.add(bytes)).await
    }

    async fn read_content(&self, file: &ObjectMeta) -> object_store::Result<Buffer> {
        let response = self.store.get(&file.location).await?;
        // The file may have grown since it was listed.
        if response.meta.size > MAX_FILE_BYTES {
            return Err(too_large(response.meta.size));
        }
        self.counters.opened_files.add(1);
        let content = Buffer::from(response.bytes().await?);
        self.counters.bytes_read.add(content.len());
        Ok(content)
    }
}

fn too_large(size: u64) -> object_store::Error {
    let reason = format!("its {size} bytes are more than the {MAX_FILE_BYTES} that are read of one file");
    object_store::Error::Generic { store: "images", source: reason.into() }
}
