//! What a scan leaves out, and when it ends early: the sink tells the scan once it has read the log.
//!
//! ```text
//!  planning: Skip::pair ─┬─► sink: locks the folder, reads the log ─ keys ─┐
//!                        └─► scan: its first poll waits for them ◄─────────┘
//! ```

use std::sync::Arc;

use async_channel::{Receiver, Sender};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;

use super::keys::{Key, KeySet, hash};
use super::stop::Stoppable;

/// What a sink tells the scan.
#[derive(Debug, Clone)]
pub(crate) struct Begin {
    keys: Sender<Arc<KeySet>>,
    pub(crate) stoppable: Stoppable,
}

impl Begin {
    /// Starts the scan, which leaves out the rows with these keys.
    pub(crate) fn without(&self, finished: KeySet) {
        // There is no scan where the optimizer knows that there are no rows.
        let _ = self.keys.force_send(Arc::new(finished));
    }
}

/// The part of a scan that a resumable statement adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Skip {
    key: Key,
    finished: Receiver<Arc<KeySet>>,
    pub(crate) stoppable: Stoppable,
}

impl Skip {
    /// A scan's part, and its sink's.
    pub(crate) fn pair(key: Key) -> (Begin, Self) {
        let (keys, finished) = async_channel::bounded(1);
        let stoppable = Stoppable::new();
        (Begin { keys, stoppable: stoppable.clone() }, Self { key, finished, stoppable })
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Waits until the sink begins; returns the keys of the rows that are written.
    ///
    /// # Errors
    /// A scan without its sink, which is a bug.
    pub(crate) async fn finished(&self) -> Result<Arc<KeySet>> {
        let finished = self.finished.recv().await;
        finished.map_err(|_| internal_datafusion_err!("a scan that skips finished rows has lost its sink"))
    }

    /// The hash of a file's key; `path` is its value in that column.
    pub(crate) fn hash(&self, path: &str, file: &ObjectMeta) -> u128 {
        let version = match self.key {
            Key::Path => None,
            Key::Version => Some((file.size, file.last_modified.timestamp_micros())),
        };
        hash(path, version)
    }
}
