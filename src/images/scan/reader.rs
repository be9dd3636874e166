//! Reads the files of a scan: nothing, the header or all of each.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::buffer::Buffer;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path;
use datafusion::object_store::{self, ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, Gauge, MetricBuilder, Time,
};
use tracing::Span;

use super::budget::Permit;
use super::columns;
use super::columns::{Reads, Row};
use super::file_size::LargestFile;
use super::pipeline::Scan;
use crate::clock::Clock;
use crate::config::InferenceOptions;
use crate::failures::{FailedRow, QueryFailures, Stage};
use crate::images::decode::{Header, MAX_HEADER_BYTES};
use crate::images::listing::{ListingCounts, Location, Unlisted};
use crate::stores::explain;

/// Attempts after the first to read an object of which the store has sent too little or too much. What it reports as
/// failed is repeated by `object_store`.
const LENGTH_RETRIES: u32 = 3;

/// Least wait before the first of these.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The store name in errors created by this module.
const OWN_ERRORS: &str = "images";

/// Metrics of a scan.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) baseline: BaselineMetrics,
    pub(crate) listed_files: Count,
    pub(crate) finished_files: Count,
    pub(crate) listing: ListingCounts,
    pub(crate) chosen_files: Gauge,
    opened_files: Count,
    unreadable_files: Count,
    bytes_read: Count,
    /// Waiting for the listing's next file.
    pub(crate) list_time: Time,
    /// Reading, summed over files that are read at the same time.
    read_time: Time,
    /// Waiting for room for the bytes of the next file.
    pub(crate) read_wait_time: Time,
    failures: QueryFailures,
    options: InferenceOptions,
}

impl Counters {
    /// The failures of a scan are those of `failures`, handled by `options`.
    pub(crate) fn new(
        metrics: &ExecutionPlanMetricsSet,
        failures: QueryFailures,
        options: InferenceOptions,
    ) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, 0);
        let time = |name: &'static str| MetricBuilder::new(metrics).subset_time(name, 0);
        Self {
            baseline: BaselineMetrics::new(metrics, 0),
            listed_files: counter("listed_files"),
            finished_files: counter("finished_files"),
            listing: ListingCounts {
                skipped: counter("skipped_files"),
                unlisted: Unlisted::new(metrics, failures.clone(), options.clone()),
            },
            chosen_files: MetricBuilder::new(metrics).gauge("chosen_files", 0),
            opened_files: counter("opened_files"),
            unreadable_files: counter("unreadable_files"),
            bytes_read: counter("bytes_read"),
            list_time: time("list_time"),
            read_time: time("read_time"),
            read_wait_time: time("read_wait_time"),
            failures,
            options,
        }
    }
}

/// Reads as much of each file as the query needs.
#[derive(Debug)]
pub(crate) struct Reader {
    scan: Arc<Scan>,
    store: Arc<dyn ObjectStore>,
    counters: Counters,
    largest: LargestFile,
}

impl Reader {
    pub(crate) fn new(
        scan: Arc<Scan>,
        store: Arc<dyn ObjectStore>,
        counters: Counters,
        largest: LargestFile,
    ) -> Self {
        Self { scan, store, counters, largest }
    }

    /// Where the files are.
    pub(crate) fn location(&self) -> &Location {
        &self.scan.location
    }

    /// Whether it reads whole local files.
    pub(crate) fn reads_local_files(&self) -> bool {
        self.scan.location.is_local() && Reads::of(&self.scan.projection) == Reads::Files
    }

    /// Bytes that reading `file` may hold in memory.
    pub(crate) fn bytes_of(&self, file: &ObjectMeta) -> usize {
        let bytes = match Reads::of(&self.scan.projection) {
            Reads::None => 0,
            Reads::Headers => file.size.min(MAX_HEADER_BYTES / 4),
            // A larger file is not read.
            Reads::Files if file.size > self.largest.bytes() => 0,
            Reads::Files => file.size,
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Reads each file as far as needed; returns each row with its file's permit.
    ///
    /// # Errors
    /// If the runtime shuts down.
    pub(crate) async fn read_group(
        self: Arc<Self>,
        group: Vec<(ObjectMeta, Permit)>,
    ) -> Result<Vec<(Row, Permit)>> {
        let mut local = self.read_local(&group).await?.into_iter();
        let mut rows = Vec::with_capacity(group.len());
        for (file, permit) in group {
            let row = match local.next().flatten() {
                Some(content) => self.row(file, content),
                None => self.read(file).await?,
            };
            rows.push((row, permit));
        }
        Ok(rows)
    }

    /// The content of local files, read on one thread. Files that fail are read again by the store, for its error.
    async fn read_local(&self, group: &[(ObjectMeta, Permit)]) -> Result<Vec<Option<Vec<u8>>>> {
        if !self.reads_local_files() {
            return Ok(Vec::new());
        }
        let paths: Vec<_> =
            group.iter().map(|(file, _)| self.scan.location.path_of(&file.location)).collect();
        let (time, span) = (self.counters.read_time.clone(), Span::current());
        let most = self.largest.bytes();
        let reading = SpawnedTask::spawn_blocking(move || {
            let (_span, _reading) = (span.enter(), Clock::start(&time));
            paths.iter().map(|path| read_file(path, most).ok()).collect()
        });
        reading.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))
    }

    fn row(&self, file: ObjectMeta, content: impl Into<Buffer>) -> Row {
        let content = content.into();
        self.counters.opened_files.add(1);
        self.counters.bytes_read.add(content.len());
        let header = columns::needs_header(&self.scan.projection).then(|| Header::of(&content)).flatten();
        Row { file, content: Some(content), unreadable: None, header }
    }

    /// Reads `file` as far as needed. A read error is logged and counted, and leaves the row's columns NULL with the
    /// reason; other rows are not affected.
    ///
    /// # Errors
    /// If the read is cancelled because the runtime shuts down: this is not an error of the file.
    async fn read(&self, file: ObjectMeta) -> Result<Row> {
        let reading = Clock::start(&self.counters.read_time);
        let read = match Reads::of(&self.scan.projection) {
            Reads::None => Ok(Row::listed(file.clone())),
            Reads::Headers => {
                self.read_header(&file).await.map(|header| Row { header, ..Row::listed(file.clone()) })
            }
            Reads::Files => self.read_content(&file).await.map(|content| self.row(file.clone(), content)),
        };
        drop(reading);
        match read {
            Ok(row) => Ok(row),
            Err(given_up @ object_store::Error::JoinError { .. }) => Err(given_up.into()),
            Err(reason) => {
                self.counters.unreadable_files.add(1);
                let path = self.scan.location.path_of(&file.location);
                let reason = reason_of(&reason);
                tracing::warn!(path, reason, "a file could not be read; its columns are NULL");
                let error = format!("could not be read: {reason}");
                let path = Some(path);
                let failed = FailedRow { path, stage: Stage::Read, error: error.clone(), model: None };
                self.counters.failures.add_one(failed, &self.counters.options)?;
                Ok(Row { unreadable: Some(error), ..Row::listed(file) })
            }
        }
    }

    async fn read_header(&self, file: &ObjectMeta) -> object_store::Result<Option<Header>> {
        self.counters.opened_files.add(usize::from(file.size > 0));
        Header::fetch(self.store.as_ref(), file, |bytes| self.counters.bytes_read.add(bytes)).await
    }

    async fn read_content(&self, file: &ObjectMeta) -> object_store::Result<Buffer> {
        let mut attempt = 0;
        loop {
            let response = self.store.get(&file.location).await?;
            // The file may have grown since it was listed.
            let (size, e_tag) = (response.meta.size, response.meta.e_tag.clone());
            self.largest.check(size).map_err(own_error)?;
            let content = response.bytes().await?;
            // Another size is that of a changed file, unless the store says that it has not changed.
            let is_changed = e_tag.is_none() || e_tag != file.e_tag;
            if content.len() as u64 == size && (size == file.size || is_changed) {
                return Ok(Buffer::from(content));
            }
            if attempt == LENGTH_RETRIES {
                let (sent, expected) = (content.len(), file.size);
                return Err(own_error(format!("the store sent {sent} of its {expected} bytes")));
            }
            tokio::time::sleep(pause(attempt, &file.location)).await;
            attempt += 1;
        }
    }
}

fn reason_of(error: &object_store::Error) -> String {
    match error {
        object_store::Error::Generic { store: OWN_ERRORS, source } => source.to_string(),
        error => explain(error),
    }
}

fn own_error(reason: String) -> object_store::Error {
    object_store::Error::Generic { store: OWN_ERRORS, source: reason.into() }
}

/// How long to wait before the next attempt: twice as long each time, and not the same for all files.
fn pause(attempt: u32, file: &Path) -> Duration {
    let share = (RandomState::new().hash_one(file) % 1000) as f64 / 1000.0;
    FIRST_PAUSE.mul_f64((1.0 + share) * f64::from(1_u32 << attempt.min(10)))
}

fn read_file(path: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.by_ref().take(most).read_to_end(&mut content)?;
    Ok(content)
}
