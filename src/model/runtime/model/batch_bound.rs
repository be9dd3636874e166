//! The largest batch that a model's device takes, learned from batches that it refused.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The largest batch of one model's sessions.
#[derive(Debug)]
pub(crate) struct BatchBound {
    rows: AtomicUsize,
    is_memory: AtomicBool,
}

impl BatchBound {
    /// The rows of the largest batch, if one was refused.
    pub(crate) fn rows(&self) -> Option<usize> {
        Some(self.rows.load(Relaxed)).filter(|rows| *rows < usize::MAX)
    }

    /// Keeps batches to `rows` rows from now on: a larger one was refused, for want of memory if `is_memory`.
    pub(crate) fn learn(&self, rows: usize, is_memory: bool) {
        let rows = rows.max(1);
        if self.rows.fetch_min(rows, Relaxed) > rows {
            self.is_memory.store(is_memory, Relaxed);
        }
    }
}

impl Default for BatchBound {
    fn default() -> Self {
        Self { rows: AtomicUsize::new(usize::MAX), is_memory: AtomicBool::new(false) }
    }
}

/// `4 (out of memory)`; nothing if no batch was refused.
impl fmt::Display for BatchBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rows) = self.rows() else { return Ok(()) };
        let reason = if self.is_memory.load(Relaxed) { "out of memory" } else { "more are refused" };
        write!(f, "{rows} ({reason})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bound_holds() {
        let bound = BatchBound::default();
        assert_eq!((bound.rows(), bound.to_string()), (None, String::new()));
        for (rows, is_memory) in [(8, false), (4, true), (16, false), (0, true)] {
            bound.learn(rows, is_memory);
        }
        assert_eq!((bound.rows(), bound.to_string().as_str()), (Some(1), "1 (out of memory)"));
    }
}
