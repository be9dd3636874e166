//! What single rows of a query were like, for a report: the images that took longest to decode, and errors by kind. For
//! the dashboard also the last errors and a sample of all rows.
//!
//! ```text
//!  RowRecord ─ in the settings that the query is planned with ─► workers ─┬─ decode times ─► the slowest images
//!                  │                                                      ├─ failures ─────► errors by kind
//!                  └─► QueryFailures ─ each failed row ─► the last        └─ images, predictions ─► row_sample.rs
//! ```
//!
//! A query whose settings have none keeps no such record.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::ArrayRef;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use parking_lot::Mutex;

use super::row_sample::{Chosen, RowSample, SampledRow, cut};
use crate::config::unlisted_setting;
use crate::failures::{FailedRow, Listener};
use crate::images::RgbImage;

/// Images that are kept.
const MOST_IMAGES: usize = 12;

/// A larger file is not kept in a report.
const MOST_BYTES: usize = 8 << 20;

/// Kinds of errors that are told apart.
const MOST_KINDS: usize = 50;

/// Errors that are kept, the last ones.
const MOST_ERRORS: usize = 100;

/// The kind of errors beyond these.
const OTHERS: &str = "other errors";

/// The record of one query. Cloning is cheap; clones are of the same query.
#[derive(Clone)]
pub(crate) struct RowRecord {
    rows: Arc<Mutex<Rows>>,
    /// A larger file is kept without its bytes.
    most_bytes: usize,
    /// Rows for whoever looks while the query runs.
    sample: Option<RowSample>,
}

/// The rows of a query that stand out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// The images that took longest to decode, longest first.
    pub(crate) slowest: Vec<SlowImage>,
    /// Errors by kind: how often, and one of them.
    pub(crate) errors: BTreeMap<String, ErrorKind>,
    /// The last rows that failed with their numbers, last first.
    pub(crate) last: VecDeque<(u64, FailedRow)>,
}

/// An image that took long to decode.
#[derive(Debug, Clone)]
pub(crate) struct SlowImage {
    /// The row's name, such as a path.
    pub(crate) name: String,
    pub(crate) time: Duration,
    /// The encoded image, unless it is very large.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// Errors that differ in names and numbers at most.
#[derive(Debug, Clone)]
pub(crate) struct ErrorKind {
    pub(crate) count: u64,
    /// The name of the first row.
    pub(crate) name: String,
    /// Its error in full.
    pub(crate) error: String,
}

impl RowRecord {
    /// A record for the dashboard: without the bytes of images, with a sample of all rows.
    pub(crate) fn with_sample() -> Self {
        Self { rows: Arc::default(), most_bytes: 0, sample: Some(RowSample::new()) }
    }

    /// The record of the query with these settings, if it keeps one.
    pub(crate) fn of(config: &ConfigOptions) -> Option<Self> {
        config.extensions.get::<Self>().cloned()
    }

    /// What was recorded.
    pub(crate) fn rows(&self) -> Rows {
        self.rows.lock().clone()
    }

    /// The sample of all rows, last first.
    pub(crate) fn sampled_rows(&self) -> Vec<SampledRow> {
        self.sample.as_ref().map(RowSample::rows).unwrap_or_default()
    }

    /// The thumbnail of a row of the sample, if there is one.
    #[cfg(feature = "dashboard")]
    pub(crate) fn thumbnail(&self, name: &str) -> Option<Bytes> {
        self.sample.as_ref()?.thumbnail(name)
    }

    /// The rows of a morsel of `rows` that the sample may keep; `name` gives a row's name.
    pub(in crate::exec) fn choose(
        &self,
        rows: usize,
        name: impl Fn(usize) -> Result<Option<String>>,
    ) -> Result<Vec<Chosen>> {
        self.sample.as_ref().map_or_else(|| Ok(vec![]), |sample| sample.choose(rows, name))
    }

    /// Adds the image of a chosen row to the sample.
    pub(in crate::exec) fn show_image(&self, chosen: &Chosen, image: &RgbImage) {
        if let Some(sample) = &self.sample {
            sample.add_image(chosen, image);
        }
    }

    /// Adds what `model` found in a morsel to the sample.
    pub(in crate::exec) fn show_found(
        &self,
        chosen: &[Chosen],
        model: &str,
        column: &ArrayRef,
    ) -> Result<()> {
        self.sample.as_ref().map_or(Ok(()), |sample| sample.add_found(chosen, model, column))
    }

    /// Adds why a chosen row has no prediction to the sample.
    pub(in crate::exec) fn show_error(&self, chosen: &Chosen, error: &str) {
        if let Some(sample) = &self.sample {
            sample.add_error(chosen, error);
        }
    }

    /// Records an image that took `time` to decode, if that is among the longest.
    pub(in crate::exec) fn add_image<'a>(
        &self,
        time: Duration,
        image: impl FnOnce() -> Result<(String, Option<&'a [u8]>)>,
    ) -> Result<()> {
        let is_slow = |rows: &Rows| {
            rows.slowest.len() < MOST_IMAGES || rows.slowest.last().is_some_and(|last| last.time < time)
        };
        if !is_slow(&self.rows.lock()) {
            return Ok(());
        }
        let (name, bytes) = image()?;
        let bytes = bytes.filter(|bytes| bytes.len() <= self.most_bytes).map(<[u8]>::to_vec);
        let mut rows = self.rows.lock();
        let place = rows.slowest.partition_point(|other| other.time >= time);
        rows.slowest.insert(place, SlowImage { name, time, bytes });
        rows.slowest.truncate(MOST_IMAGES);
        Ok(())
    }

    /// Records an error of a row.
    pub(crate) fn add_error(&self, error: &str, name: impl FnOnce() -> Result<String>) -> Result<()> {
        let mut rows = self.rows.lock();
        let kind = kind_of(error);
        let is_full = rows.errors.len() >= MOST_KINDS && !rows.errors.contains_key(&kind);
        let kind = if is_full { OTHERS.to_owned() } else { kind };
        if let Some(known) = rows.errors.get_mut(&kind) {
            known.count += 1;
        } else {
            rows.errors.insert(kind, ErrorKind { count: 1, name: name()?, error: error.to_owned() });
        }
        Ok(())
    }
}

/// An error without what tells it from others of its kind: quoted names and numbers.
fn kind_of(error: &str) -> String {
    let mut kind = String::new();
    let mut quoted = false;
    for character in error.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                kind.push_str(if quoted { "'…" } else { "'" });
            }
            _ if quoted => {}
            '0'..='9' => {
                if !kind.ends_with('…') {
                    kind.push('…');
                }
            }
            _ => kind.push(character),
        }
    }
    kind
}

impl Default for RowRecord {
    fn default() -> Self {
        Self { rows: Arc::default(), most_bytes: MOST_BYTES, sample: None }
    }
}

/// Keeps the last.
impl Listener for RowRecord {
    fn failed(&self, FailedRow { path, stage, error, model }: FailedRow) {
        let row = FailedRow { path: path.as_deref().map(cut), stage, error: cut(&error), model };
        let mut rows = self.rows.lock();
        let number = rows.last.front().map_or(0, |(number, _)| number + 1);
        rows.last.push_front((number, row));
        rows.last.truncate(MOST_ERRORS);
    }
}

impl fmt::Debug for RowRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowRecord").field("errors", &self.rows.lock().errors.len()).finish_non_exhaustive()
    }
}

unlisted_setting!(RowRecord, "inference_record");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::Stage;

    #[test]
    fn the_slowest_images_are_kept_and_errors_counted_by_kind() -> Result<()> {
        let record = RowRecord::default();
        for ms in [5, 1, 30, 20].into_iter().chain(100..120) {
            let image = || Ok((ms.to_string(), Some(b"x".as_slice())));
            record.add_image(Duration::from_millis(ms), image)?;
        }
        for error in ["'a.jpg' has 10 × 20 pixels", "'b.jpg' has 7 × 3000 pixels", "no image"] {
            record.add_error(error, || Ok("c".to_owned()))?;
        }
        let rows = record.rows();
        let names: Vec<_> = rows.slowest.iter().map(|image| image.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[11]), (12, "119", "108"));
        let errors: Vec<_> = rows.errors.iter().map(|(kind, error)| (kind.as_str(), error.count)).collect();
        assert_eq!(errors, [("'…' has … × … pixels", 2), ("no image", 1)]);
        Ok(())
    }

    #[test]
    fn the_last_failed_rows_are_kept() {
        let record = RowRecord::with_sample();
        for number in 0..MOST_ERRORS + 5 {
            let (path, model) = (Some(format!("{number}.jpg")), Some("m".to_owned()));
            record.failed(FailedRow { path, stage: Stage::Infer, error: "ä".repeat(10_000), model });
        }
        let last = record.rows().last;
        assert_eq!((last.len(), last[0].0), (MOST_ERRORS, MOST_ERRORS as u64 + 4));
        assert_eq!(last[0].1.path.as_deref(), Some("104.jpg"));
        assert!(last[0].1.error.len() < 10_000);
    }
}
