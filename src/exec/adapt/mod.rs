//! What `auto` changes while a long query runs: the batch size, if another one is faster on the query's own rows.
//!
//! ```text
//!  worker ─ next ─► batch size for its morsel ─ decode, infer ─► time ─ add ─► Climb ─► batch size of later morsels
//!                                                                                 └────► their rows, if they are too few
//! ```
//!
//! Predictions don't depend on the batch size, and rows keep their order. Each operator has a search for each image
//! that a single model runs on; several models share a morsel, and their sizes are left alone.
//!
//! The first size is right for most models. It is not for those whose weights are large compared to what they compute:
//! on two cores, a VGG-16 for 32 × 32 pixels (61 MB) went from 4 to 16 and was 1.13 × as fast over a minute as with 4, an
//! AlexNet (244 MB) went from 8 to 16.

mod climb;

use std::collections::HashMap;
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
    /// By the key of a plan.
    searches: Mutex<HashMap<usize, Search>>,
}

#[derive(Debug)]
struct Search {
    /// Not held: the plan outlives the query's run.
    model: Weak<Model>,
    climb: Climb,
}

impl Adaptation {
    /// The batch size for a morsel of `rows` rows that `model` alone runs on, in the plan `key`; `None` if an option, TUNE
    /// or the device has chosen it.
    ///
    /// # Errors
    /// A model that can't be placed on its device.
    pub(crate) fn next(&self, key: usize, model: &Arc<Model>, rows: usize) -> Result<Option<usize>> {
        if !model.may_adapt()? {
            return Ok(None);
        }
        let elapsed = self.started.get_or_init(Instant::now).elapsed();
        let sizing = model.sizing()?;
        let mut searches = self.searches.lock();
        let search = searches.entry(key).or_insert_with(|| Search {
            model: Arc::downgrade(model),
            climb: Climb::new(sizing.batch_rows, sizing.sessions),
        });
        Ok(Some(search.climb.next(rows, elapsed)))
    }

    /// Takes note of how long a morsel took. Returns the rows that later morsels need for the next size to be tried.
    pub(crate) fn add(&self, key: usize, batch: usize, rows: usize, time: Duration) -> Option<usize> {
        let mut searches = self.searches.lock();
        let search = searches.get_mut(&key)?;
        search.climb.add(batch, rows, time);
        search.climb.wanted()
    }

    /// The batch size that was found for `model`, if it is another than it began with.
    pub(crate) fn found(&self, model: &Model) -> Option<usize> {
        let searches = self.searches.lock();
        let is_of = |search: &&Search| search.model.upgrade().is_some_and(|known| *known == *model);
        searches.values().find(is_of)?.climb.changed()
    }
}
