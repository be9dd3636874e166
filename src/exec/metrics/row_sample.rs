//! Some rows of a query with what models said of them, evenly over its run, for whoever looks while it runs or later.
//!
//! ```text
//!  names of a morsel ─ choose() ─┬─► its image, once decoded ─ add_image() ─► size; thumbnail, if there is time for one
//!                                └─► its predictions ───────── add_found()
//! ```
//!
//! Those rows are kept whose names have the least hashes. So workers, and operators one above the other, choose the same
//! rows of a query however many there are, and nobody has to know how many.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::error::Result;
use parking_lot::Mutex;
use serde::Serialize;

use crate::images::boxes::{Object, Objects, are_objects};
use crate::images::{RgbImage, Thumbnail};

/// Rows that are kept.
const MOST_ROWS: usize = 100;

/// Classes and objects of a row that are kept.
const MOST_FOUND: usize = 10;

/// Characters of a text that are kept; most paths have fewer.
const MOST_CHARACTERS: usize = 1024;

/// Thumbnails may take one part of so many of the time since the query began.
const LEAST_TIMES: u32 = 100;

/// A row of a query with what models said of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SampledRow {
    /// Tells it from other rows of the query; later rows have larger ones.
    pub number: u64,
    /// The row's name, such as the path of its image.
    pub name: String,
    /// Width and height of the image, once it has been decoded.
    pub size: Option<[u32; 2]>,
    /// Classes and objects, those of each call best first, at most 10.
    pub found: Vec<Found>,
    /// Why there is no prediction.
    pub error: Option<String>,
}

/// A class or an object that a model found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The model.
    pub model: String,
    /// Its name for it, if it has names.
    pub label: Option<String>,
    /// Its number.
    pub class: Option<i64>,
    /// Probability, 0 to 1.
    pub confidence: Option<f32>,
    /// Left, top, right and bottom in pixels of the image as displayed.
    pub corners: Option<[f64; 4]>,
}

/// A row that the sample may keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Its place in the morsel.
    pub(crate) row: usize,
    hash: u64,
    name: String,
}

/// The sample of one query. Cloning is cheap; clones are of the same query.
#[derive(Debug, Clone)]
pub(super) struct RowSample {
    began: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By hash.
    kept: BTreeMap<u64, Kept>,
    /// The number of the next row.
    next: u64,
    /// How long thumbnails took.
    spent: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    row: SampledRow,
    thumbnail: Option<Bytes>,
}

impl RowSample {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), state: Arc::default() }
    }

    /// The rows, of `rows` rows, that are kept if no other hashes are less; `name` gives a row's name.
    ///
    /// # Errors
    /// Those of `name`.
    pub(super) fn choose(
        &self,
        rows: usize,
        name: impl Fn(usize) -> Result<Option<String>>,
    ) -> Result<Vec<Chosen>> {
        let mut chosen = vec![];
        for row in 0..rows {
            let name = name(row)?;
            let mut state = self.state.lock();
            let hash = match &name {
                Some(name) => hash(name),
                // Rows without names are all different.
                None => {
                    state.next += 1;
                    hash(&state.next)
                }
            };
            if state.keeps(hash) {
                let name = name.map_or_else(|| format!("row {}", state.next), |name| cut(&name));
                chosen.push(Chosen { row, hash, name });
            }
        }
        Ok(chosen)
    }

    /// Notes the size of a row's image, and keeps a thumbnail if there is time for one.
    pub(super) fn add_image(&self, chosen: &Chosen, image: &RgbImage) {
        let mut has_time = false;
        self.with(chosen, |kept, spent| {
            kept.row.size = Some([image.original_width, image.original_height]);
            has_time = kept.thumbnail.is_none() && *spent * LEAST_TIMES <= self.began.elapsed();
        });
        if !has_time {
            return;
        }
        let begun = Instant::now();
        let thumbnail = Thumbnail::of(image).ok().map(|thumbnail| Bytes::from(thumbnail.jpeg));
        self.with(chosen, |kept, spent| {
            kept.thumbnail = thumbnail;
            *spent += begun.elapsed();
        });
    }

    /// Adds what `model` found in a morsel's rows, of which `column` has the predictions.
    ///
    /// # Errors
    /// A column whose type is not what a task gives, which is a bug.
    pub(super) fn add_found(&self, chosen: &[Chosen], model: &str, column: &ArrayRef) -> Result<()> {
        if chosen.is_empty() || !are_objects(column.data_type()) {
            return Ok(());
        }
        let (Some(first), Some(last)) = (chosen.first(), chosen.last()) else { return Ok(()) };
        let objects = Objects::try_new(&column.slice(first.row, last.row + 1 - first.row), None)?;
        for one in chosen {
            let found = objects.get(one.row - first.row).unwrap_or_default();
            // A classification that failed has no label.
            let is_one = |object: &Object<'_>| object.label.is_some() || object.class.is_some();
            let found = found.into_iter().filter(is_one).take(MOST_FOUND).map(|object| Found {
                model: model.to_owned(),
                label: object.label.map(cut),
                class: object.class,
                confidence: object.confidence.filter(|confidence| confidence.is_finite()),
                corners: object.corners.filter(|corners| corners.iter().all(|edge| edge.is_finite())),
            });
            self.with(one, |kept, _| {
                // Another call of the model may have found the same.
                let known = &mut kept.row.found;
                for found in found {
                    if !known.contains(&found) {
                        known.push(found);
                    }
                }
                known.truncate(MOST_FOUND);
            });
        }
        Ok(())
    }

    /// Notes why a row has no prediction.
    pub(super) fn add_error(&self, chosen: &Chosen, error: &str) {
        self.with(chosen, |kept, _| kept.row.error = Some(cut(error)));
    }

    /// The rows, last first.
    pub(super) fn rows(&self) -> Vec<SampledRow> {
        let mut rows: Vec<_> = self.state.lock().kept.values().map(|kept| kept.row.clone()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.number));
        rows
    }

    /// The thumbnail of the row of this name, if it is kept.
    #[cfg(feature = "dashboard")]
    pub(super) fn thumbnail(&self, name: &str) -> Option<Bytes> {
        let state = self.state.lock();
        state.kept.values().find(|kept| kept.row.name == name)?.thumbnail.clone()
    }

    /// Changes a row that is kept, or is from now on.
    fn with(&self, chosen: &Chosen, change: impl FnOnce(&mut Kept, &mut Duration)) {
        let mut state = self.state.lock();
        if !state.keeps(chosen.hash) {
            return;
        }
        let State { kept, next, spent } = &mut *state;
        let kept_row = kept.entry(chosen.hash).or_insert_with(|| {
            *next += 1;
            let row = SampledRow { number: *next, name: chosen.name.clone(), ..SampledRow::default() };
            Kept { row, thumbnail: None }
        });
        change(kept_row, spent);
        if kept.len() > MOST_ROWS {
            kept.pop_last();
        }
    }
}

impl State {
    /// Whether a row is kept, or would be.
    fn keeps(&self, hash: u64) -> bool {
        self.kept.len() < MOST_ROWS || self.kept.last_key_value().is_some_and(|(largest, _)| hash <= *largest)
    }
}

fn hash(name: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The first characters of a text.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float32Array, Int32Array, StringArray, StructArray};
    use datafusion::arrow::datatypes::{DataType, Field, Fields};

    use super::*;

    fn image() -> RgbImage {
        let pixels = vec![7; 400 * 300 * 3];
        RgbImage { width: 400, height: 300, pixels, original_width: 800, original_height: 600 }
    }

    fn classes(labels: &[Option<&str>]) -> ArrayRef {
        let fields = Fields::from(vec![
            Field::new("label", DataType::Utf8, true),
            Field::new("class", DataType::Int32, true),
            Field::new("confidence", DataType::Float32, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(labels.to_vec())),
            Arc::new(Int32Array::from_iter(labels.iter().map(|label| label.map(|_| 3)))),
            Arc::new(Float32Array::from_iter(labels.iter().map(|label| label.map(|_| 0.5)))),
        ];
        Arc::new(StructArray::new(fields, columns, None))
    }

    /// Morsels of ten rows of so many, through two operators.
    fn sampled(rows: usize) -> Result<RowSample> {
        let sample = RowSample::new();
        for morsel in 0..rows / 10 {
            for model in ["one", "other"] {
                let chosen = sample.choose(10, |row| Ok(Some(format!("{}.jpg", morsel * 10 + row))))?;
                chosen.iter().for_each(|chosen| sample.add_image(chosen, &image()));
                sample.add_found(&chosen, model, &classes(&[Some("lion"); 10]))?;
            }
        }
        Ok(sample)
    }

    #[test]
    fn rows_of_the_whole_run_are_kept_with_what_all_operators_said() -> Result<()> {
        let rows = sampled(5000)?.rows();
        assert_eq!(rows.len(), MOST_ROWS);
        assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row.number)));
        let number = |row: &SampledRow| row.name.trim_end_matches(".jpg").parse::<usize>().unwrap();
        let late = rows.iter().filter(|row| number(row) >= 2500).count();
        assert!((30..70).contains(&late), "{late} of the second half");
        for row in &rows {
            let models: Vec<_> = row.found.iter().map(|found| found.model.as_str()).collect();
            assert_eq!((models, row.size), (vec!["one", "other"], Some([800, 600])));
        }
        let found = &rows[0].found[0];
        assert_eq!(
            (found.label.as_deref(), found.class, found.confidence),
            (Some("lion"), Some(3), Some(0.5))
        );
        Ok(())
    }

    #[test]
    fn thumbnails_take_a_small_share_of_the_time() -> Result<()> {
        let sample = sampled(20)?;
        assert!(sample.thumbnail("missing.jpg").is_none());
        let state = sample.state.lock();
        let made = state.kept.values().filter(|kept| kept.thumbnail.is_some()).count();
        let slowest = state.spent / u32::try_from(made.max(1)).unwrap();
        // The last may begin just before the time is up.
        assert!(made > 0 && state.spent <= sample.began.elapsed() / LEAST_TIMES + 2 * slowest, "{made}");
        Ok(())
    }

    #[test]
    fn rows_without_names_or_predictions_are_kept_too() -> Result<()> {
        let sample = RowSample::new();
        let chosen = sample.choose(2, |_| Ok(None))?;
        sample.add_found(&chosen, "m", &classes(&[None, Some("cat")]))?;
        sample.add_error(&chosen[0], "damaged");
        let mut rows = sample.rows();
        rows.reverse();
        assert_eq!((rows.len(), rows[0].found.len(), rows[0].error.as_deref()), (2, 0, Some("damaged")));
        assert_eq!(rows[1].found[0].label.as_deref(), Some("cat"));
        assert_ne!(rows[0].name, rows[1].name);
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        sample.add_found(&chosen, "m", &numbers)
    }
}
