//! How large a file may be to be read: by `inference.max_file_bytes`, and by the session's memory limit.

use datafusion::execution::memory_pool::MemoryPool;

use crate::bounds::Bounds;
use crate::memory_limit::{RAISES_MEMORY_LIMIT, memory_limit};

/// The largest file that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LargestFile {
    setting: u64,
    memory: u64,
}

impl LargestFile {
    /// That of a session with these `bounds` and memory.
    pub(crate) fn of(bounds: &Bounds, pool: &dyn MemoryPool) -> Self {
        let memory = memory_limit(pool).map_or(u64::MAX, |bytes| bytes as u64);
        Self { setting: bounds.max_file_bytes, memory }
    }

    /// Its bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.setting.min(self.memory)
    }

    /// Why a file of `size` bytes is not read, if it is larger.
    pub(crate) fn check(self, size: u64) -> Result<(), String> {
        let Self { setting, memory } = self;
        if size > setting {
            return Err(format!("its {size} bytes are more than inference.max_file_bytes ({setting})"));
        }
        if size > memory {
            return Err(format!(
                "its {size} bytes are more than the memory limit ({memory}); {RAISES_MEMORY_LIMIT}"
            ));
        }
        Ok(())
    }
}
