//! The images that an operator could not decode, for the operators above it, so that an image fails once.
//!
//! ```text
//!  InferExec: embed(image, 'b')       asks whether the image has failed below, and then reports nothing
//!    FilterExec: a IS NULL
//!      InferExec: a=classify(image)   notes the image, and reports it
//! ```

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

/// Images that are noted, which take 16 MB; of those that fail after them, each operator reports its own failures.
const MOST: usize = 1 << 20;

/// Hashes of the images that an operator could not decode.
#[derive(Debug, Default)]
pub(crate) struct Undecoded {
    /// Whether there is an operator above.
    is_read: AtomicBool,
    hashes: Mutex<HashSet<u64>>,
    state: RandomState,
}

impl Undecoded {
    /// Those of the next operator that infers below `plan`, through operators of one input. `of` tells those of an operator
    /// that does. They are noted from now on.
    pub(crate) fn below(
        plan: &Arc<dyn ExecutionPlan>,
        of: fn(&Arc<dyn ExecutionPlan>) -> Option<&Arc<Self>>,
    ) -> Option<Arc<Self>> {
        if let Some(undecoded) = of(plan) {
            undecoded.is_read.store(true, Relaxed);
            return Some(Arc::clone(undecoded));
        }
        match plan.children().as_slice() {
            [input] => Self::below(input, of),
            _ => None,
        }
    }

    pub(crate) fn add(&self, image: &[u8]) {
        if self.is_read.load(Relaxed) {
            let (hash, mut hashes) = (self.state.hash_one(image), self.hashes.lock());
            if hashes.len() < MOST {
                hashes.insert(hash);
            }
        }
    }

    pub(crate) fn contains(&self, image: &[u8]) -> bool {
        self.hashes.lock().contains(&self.state.hash_one(image))
    }
}
