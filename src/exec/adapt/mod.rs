//! What `auto` changes while a long query runs: the batch size, if another one is faster on the query's own rows.
//!
//! ```text
//!  worker ─ next ─► batch size for its morsel ─ decode, infer ─► time ─ add ─► Climb ─► batch size of later morsels
//!                                                                                 └────► their rows, if they are too few
//! ```
//!
//! Predictions don't change with it, and rows keep their order: while a size is tried, the model runs at the size in use as
//! well and the outputs are compared. There are models whose last digits depend on the batch size, since ONNX Runtime
//! multiplies a single row by other code than several; these keep the size that they began with.
//!
//! Each operator has a search for each model of each image. Of several models that share a morsel, at most one tries
//! another size at a time, and all of them together try no more rows than one alone would.
//!
//! The first size is right for most models. It is not for those whose weights are large compared to what they compute:
//! on two cores, a VGG-16 for 32 × 32 pixels (61 MB) went to 16 and was 1.13 × as fast over a minute as with 4, an AlexNet
//! (244 MB) went from 8 to 16.

mod climb;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use datafusion::error::Result;
use parking_lot::Mutex;

use self::climb::Climb;
use crate::model::runtime::Model;

/// The searches of one operator's workers.
#[derive(Debug, Default)]
pub(crate) struct Adaptation {
    started: OnceLock<Instant>,
    /// For each key of a plan, the searches of its models; `None` for a size that an option, TUNE or the device has chosen.
    searches: Mutex<HashMap<usize, Vec<Option<Search>>>>,
}

/// How many rows a model runs on at once for a morsel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchSize {
    pub(crate) rows: usize,
    /// The size in use, if `rows` are only tried: the model runs at both, and its predictions are those of this one.
    pub(crate) in_use: Option<usize>,
}

/// A model's runs for a morsel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ran {
    /// At the size in use, or at the one that was tried.
    pub(crate) time: Duration,
    /// Whether outputs at the size that was tried are not those at the size in use, bit for bit.
    pub(crate) differs: bool,
}

#[derive(Debug)]
struct Search {
    /// Not held: the plan outlives the query's run.
    model: Weak<Model>,
    climb: Climb,
}

impl Adaptation {
    /// The batch sizes for a morsel of `rows` rows, for each of the `models` of the plan `key`; `None` where an option, TUNE
    /// or the device has chosen it.
    ///
    /// # Errors
    /// A model that can't be placed on its device.
    pub(crate) fn next<'a>(
        &self,
        key: usize,
        models: impl ExactSizeIterator<Item = &'a Arc<Model>>,
        rows: usize,
    ) -> Result<Vec<Option<BatchSize>>> {
        let elapsed = self.started.get_or_init(Instant::now).elapsed();
        let mut searches = self.searches.lock();
        let searches = match searches.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let share = 1.0 / models.len().max(1) as f64;
                new.insert(models.map(|model| Search::new(model, share)).collect::<Result<_>>()?)
            }
        };
        let mut is_trying = false;
        let batches = searches.iter_mut().map(|search| {
            let climb = &mut search.as_mut()?.climb;
            let (next, in_use) = (climb.next(rows, elapsed, !is_trying), climb.in_use());
            is_trying |= next != in_use;
            Some(BatchSize { rows: next, in_use: (next != in_use).then_some(in_use) })
        });
        Ok(batches.collect())
    }

    /// Takes note of how long each model ran for a morsel, at the batch sizes of [`Self::next`]. Returns the rows that later
    /// morsels need for the next size to be tried.
    pub(crate) fn add(
        &self,
        key: usize,
        batches: &[Option<BatchSize>],
        rows: usize,
        runs: &[Ran],
    ) -> Option<usize> {
        let mut searches = self.searches.lock();
        let searches = searches.get_mut(&key)?.iter_mut().zip(batches).zip(runs);
        let wanted = searches.filter_map(|((search, batch), ran)| {
            let Search { climb, model } = search.as_mut()?;
            climb.add((*batch)?.rows, rows, ran.time);
            if ran.differs {
                climb.end();
                let model = model.upgrade().map(|model| model.spec().name.clone()).unwrap_or_default();
                tracing::debug!("{model}: the batch size stays, as outputs depend on it");
            }
            climb.wanted()
        });
        wanted.max()
    }

    /// The batch size that was found for `model`, if it is another than it began with.
    pub(crate) fn found(&self, model: &Model) -> Option<usize> {
        let searches = self.searches.lock();
        let is_of = |search: &&Search| search.model.upgrade().is_some_and(|known| *known == *model);
        searches.values().flatten().flatten().filter(is_of).find_map(|search| search.climb.changed())
    }
}

impl Search {
    /// A search for `model`, which may try other sizes on this share of what a model alone may; `None` if its size is chosen.
    fn new(model: &Arc<Model>, share: f64) -> Result<Option<Self>> {
        if !model.may_adapt()? {
            return Ok(None);
        }
        let sizing = model.sizing()?;
        let climb = Climb::new(sizing.batch_rows, sizing.sessions, share);
        Ok(Some(Self { model: Arc::downgrade(model), climb }))
    }
}
