//! The session's memory limit: what rows that wait may take of it, and what to say where it is too low.
//!
//! ```text
//!  limit ─┬─ a quarter: files that a scan reads ahead
//!         ├─ a quarter: morsels that wait for a worker
//!         └─ the rest: tensors and pixels of the workers, joins, sorts
//! ```
//!
//! What needs no more than the limit goes on if nobody can free memory for it, one at a time and counted, though the pool is
//! full: rows that wait would otherwise fail others, depending on who comes first.

use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};

/// How to raise the limit, to end a message.
pub(crate) const RAISES_MEMORY_LIMIT: &str =
    "--memory-limit or SET datafusion.runtime.memory_limit raises it";

/// Part of the limit that the rows in one place may take while they wait.
const WAITING: usize = 4;

/// Bytes that may be reserved in `pool`, if that is bounded.
pub(crate) fn memory_limit(pool: &dyn MemoryPool) -> Option<usize> {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => Some(bytes),
        MemoryLimit::Infinite | MemoryLimit::Unknown => None,
    }
}

/// Bytes of rows that may wait in one place, `most` unless the limit is low.
pub(crate) fn waiting_bytes(most: usize, pool: &dyn MemoryPool) -> usize {
    memory_limit(pool).map_or(most, |bytes| most.min(bytes / WAITING))
}
