//! Ends the inference of one query: the runs of its operators, and those of calls within its expressions.
//!
//! ```text
//!  QueryCancellation ─ in the settings that the query is planned with ─┬─► InferExec: a part for each worker
//!        │                                                             └─► a call in a branch of CASE: a part
//!        └─ cancel ─► every part: Cancellation ─► its runs
//! ```
//!
//! Expressions know nothing of the query that evaluates them but its settings, so it is among these.

use std::fmt;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use parking_lot::Mutex;

use crate::config::{InferenceOptions, unlisted_setting};
use crate::model::runtime::{Cancellation, WeakCancellation};

/// The inference of one query. Cloning is cheap; clones end the same query.
#[derive(Clone, Default)]
pub(crate) struct QueryCancellation(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    is_cancelled: bool,
    running: Vec<WeakCancellation>,
}

impl QueryCancellation {
    /// Ends all inference of the query and prevents more.
    pub(crate) fn cancel(&self) {
        let mut parts = self.0.lock();
        parts.is_cancelled = true;
        parts.running.drain(..).filter_map(|part| part.upgrade()).for_each(|part| part.cancel());
    }

    /// A cancellation for a part of the query with these settings. It ends when the query is ended, if that can be.
    pub(crate) fn part(config: &ConfigOptions) -> Cancellation {
        let part = Cancellation::with_limit(InferenceOptions::of(config).timeout);
        if let Some(query) = config.extensions.get::<Self>() {
            query.add(&part);
        }
        part
    }

    fn add(&self, part: &Cancellation) {
        let mut parts = self.0.lock();
        if parts.is_cancelled {
            part.cancel();
            return;
        }
        // A call in an expression adds a part for each batch.
        parts.running.retain(|part| part.upgrade().is_some());
        parts.running.push(part.downgrade());
    }
}

impl fmt::Debug for QueryCancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryCancellation")
            .field("is_cancelled", &self.0.lock().is_cancelled)
            .finish_non_exhaustive()
    }
}

unlisted_setting!(QueryCancellation, "inference_query");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_with_their_query_alone() {
        let (query, mut config) = (QueryCancellation::default(), ConfigOptions::default());
        let unrelated = QueryCancellation::part(&config);
        config.extensions.insert(query.clone());
        let parts = [QueryCancellation::part(&config), QueryCancellation::part(&config.clone())];
        parts[0].cancel();
        assert!(!parts[1].is_cancelled(), "a part ends without the others");
        query.cancel();
        assert!(parts[1].is_cancelled());
        assert!(QueryCancellation::part(&config).is_cancelled(), "none begins after the end");
        assert!(!unrelated.is_cancelled());
    }

    #[test]
    fn ended_parts_are_forgotten() {
        let (query, mut config) = (QueryCancellation::default(), ConfigOptions::default());
        config.extensions.insert(query.clone());
        for _ in 0..100 {
            QueryCancellation::part(&config);
        }
        assert_eq!(query.0.lock().running.len(), 1);
    }
}
