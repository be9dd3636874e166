//! The rows that a worker has in hand, for a process that may die of one of them: see `cluster/quarantine/`.
//!
//! ```text
//!  morsel ─► parts ─┬─ rows that nothing is known of, together ─► taken one after the other, put down after each run
//!                   └─ a row that is suspected, alone: no other worker of the process has anything in hand
//! ```
//!
//! A row that killed a process twice is not touched any more: it has failed.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use seequel_udfs::{ImageArray, Request};

use crate::exec::predictions::PhysicalCall;
use crate::failures::{Failure, Stage};

/// A row, by what is known of it before anything works on it.
#[derive(Debug)]
pub(crate) struct GuardedRow<'a> {
    /// What is computed of it.
    pub(crate) place: u64,
    /// Its name; empty if it has none.
    pub(crate) name: String,
    /// Those of all of its columns.
    pub(crate) images: Vec<&'a [u8]>,
}

/// What is known of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unknown,
    /// It was in hand when a process died.
    Suspected,
    /// Why it is not touched.
    Convicted(String),
}

/// Remembers what is in hand when the process dies, and what was.
pub(crate) trait Guard: fmt::Debug + Send + Sync {
    /// Whether nothing is known of any row.
    fn is_idle(&self) -> bool;

    fn verdict(&self, row: &GuardedRow<'_>) -> Verdict;

    /// Begins to work on rows: alone in the process, or beside others who are not. Blocks until that can be; an error of
    /// `check` ends the wait.
    ///
    /// # Errors
    /// Those of `check`.
    fn begin(self: Arc<Self>, is_alone: bool, check: &dyn Fn() -> Result<()>) -> Result<Box<dyn Lane>>;
}

/// What one worker has in hand, until it is dropped.
pub(crate) trait Lane: fmt::Debug + Send + Sync {
    fn take(&self, row: &GuardedRow<'_>);

    /// Puts down all rows.
    fn put_down(&self);

    /// All rows were worked on, and the process is alive.
    fn passed(&self);
}

/// The guard of an operator's rows.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    guard: Arc<dyn Guard>,
    place: u64,
    /// Whether images are decoded before it is known row by row.
    is_coarse: bool,
}

impl Guarded {
    /// That of an operator with these calls, if any of them takes an image.
    pub(crate) fn of(guard: Option<&Arc<dyn Guard>>, calls: &[PhysicalCall]) -> Option<Self> {
        let takes_image = |call: &PhysicalCall| {
            matches!(call.request, Request::ImageFunction | Request::ImageError)
                || call.predictor.takes_image()
        };
        let guard = guard.filter(|_| calls.iter().any(takes_image))?;
        let mut place = DefaultHasher::new();
        let mut is_coarse = false;
        for call in calls {
            format!("{:?}", call.request).hash(&mut place);
            call.predictor.members().iter().for_each(|model| model.spec().sha256.hash(&mut place));
            for input in call.inputs.iter().filter(|input| !input.is::<Column>()) {
                input.to_string().hash(&mut place);
                is_coarse = true;
            }
        }
        Some(Self { guard: Arc::clone(guard), place: place.finish(), is_coarse })
    }

    /// Lets `infer` work on `batch`, whose rows are called `names`, in parts; returns what it gives.
    ///
    /// # Errors
    /// Those of `infer` and `check`.
    pub(crate) fn in_parts<T>(
        &self,
        batch: &RecordBatch,
        names: Option<&ArrayRef>,
        check: &dyn Fn() -> Result<()>,
        mut infer: impl FnMut(&RecordBatch, &InHand<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut inferred = vec![];
        for Part { rows, is_alone, convicted } in self.parts(batch, names)? {
            let part = batch.slice(rows.start, rows.len());
            let names = names.map(|names| names.slice(rows.start, rows.len()));
            let lane = Arc::clone(&self.guard).begin(is_alone, check)?;
            let rows = Rows::new(self.place, &part, names);
            let in_hand = InHand { lane, rows, convicted, is_coarse: self.is_coarse };
            if self.is_coarse {
                (0..part.num_rows()).try_for_each(|row| in_hand.add(row))?;
            }
            inferred.push(infer(&part, &in_hand)?);
            in_hand.lane.passed();
        }
        Ok(inferred)
    }

    fn parts(&self, batch: &RecordBatch, names: Option<&ArrayRef>) -> Result<Vec<Part>> {
        let all = batch.num_rows();
        let mut parts = vec![];
        let mut part = Part { rows: 0..all, is_alone: false, convicted: BTreeMap::new() };
        if self.guard.is_idle() {
            parts.push(part);
            return Ok(parts);
        }
        let rows = Rows::new(self.place, batch, names.cloned());
        for row in 0..all {
            match self.guard.verdict(&rows.row(row)?) {
                Verdict::Unknown => {}
                Verdict::Convicted(reason) => {
                    part.convicted.insert(row - part.rows.start, reason);
                }
                Verdict::Suspected => {
                    let next = Part { rows: row + 1..all, is_alone: false, convicted: BTreeMap::new() };
                    part.rows.end = row;
                    parts.push(std::mem::replace(&mut part, next));
                    parts.push(Part { rows: row..row + 1, is_alone: true, convicted: BTreeMap::new() });
                }
            }
        }
        parts.push(part);
        parts.retain(|part| !part.rows.is_empty());
        Ok(parts)
    }
}

/// Rows that are worked on together.
struct Part {
    rows: Range<usize>,
    is_alone: bool,
    convicted: BTreeMap<usize, String>,
}

/// The rows of a batch, as they are known.
#[derive(Debug)]
struct Rows<'a> {
    place: u64,
    names: Option<ArrayRef>,
    images: Vec<ImageArray<'a>>,
}

impl<'a> Rows<'a> {
    fn new(place: u64, batch: &'a RecordBatch, names: Option<ArrayRef>) -> Self {
        let images = batch.columns().iter().filter(|column| holds_images(column.data_type()));
        // A struct without bytes holds none.
        Self { place, names, images: images.filter_map(|column| ImageArray::try_new(column).ok()).collect() }
    }

    fn row(&self, row: usize) -> Result<GuardedRow<'a>> {
        let name = self.names.as_ref().map(|names| array_value_to_string(names, row)).transpose()?;
        let images = self.images.iter().filter_map(|images| images.get(row)).collect();
        Ok(GuardedRow { place: self.place, name: name.unwrap_or_default(), images })
    }
}

fn holds_images(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Struct(_))
}

/// The rows that a worker has in hand, among those of a part.
#[derive(Debug)]
pub(crate) struct InHand<'a> {
    lane: Box<dyn Lane>,
    rows: Rows<'a>,
    convicted: BTreeMap<usize, String>,
    /// Whether all rows are in hand to the end.
    is_coarse: bool,
}

impl InHand<'_> {
    fn add(&self, row: usize) -> Result<()> {
        if !self.convicted.contains_key(&row) {
            self.lane.take(&self.rows.row(row)?);
        }
        Ok(())
    }

    /// Notes that work on a row begins.
    ///
    /// # Errors
    /// A name that can't be shown.
    pub(crate) fn take(&self, row: usize) -> Result<()> {
        if self.is_coarse { Ok(()) } else { self.add(row) }
    }

    /// Notes that no row is worked on.
    pub(crate) fn put_down(&self) {
        if !self.is_coarse {
            self.lane.put_down();
        }
    }

    /// Why a row is not touched.
    pub(crate) fn failure(&self, row: usize) -> Option<Failure> {
        self.convicted.get(&row).map(|reason| Failure::new(Stage::Crash, reason))
    }

    /// The rows that are not touched, with the reason and the first of their images.
    pub(crate) fn convicted(&self) -> impl Iterator<Item = (usize, &str, Option<&[u8]>)> {
        let image = |row| self.rows.images.iter().find_map(|images| images.get(row));
        self.convicted.iter().map(move |(row, reason)| (*row, reason.as_str(), image(*row)))
    }

    /// `batch` with NULL for the images that are not touched, if there are any.
    ///
    /// # Errors
    /// A bug: columns that don't fit.
    pub(crate) fn without_convicted(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        if self.convicted.is_empty() {
            return Ok(None);
        }
        let is_convicted: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(self.convicted.contains_key(&row))).collect();
        let columns = batch.columns().iter().map(|column| match holds_images(column.data_type()) {
            true => nullif(column, &is_convicted),
            false => Ok(Arc::clone(column)),
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let fields = batch.schema_ref().fields().iter();
        let fields: Vec<_> = fields.map(|field| Field::clone(field).with_nullable(true)).collect();
        let schema = Schema::new_with_metadata(fields, batch.schema_ref().metadata().clone());
        Ok(Some(RecordBatch::try_new(Arc::new(schema), columns)?))
    }
}
