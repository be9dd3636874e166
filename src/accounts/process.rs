//! Processor time and memory of this process.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// What the system says of the process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// On all cores together, since the process started.
    pub(super) cpu: Duration,
    /// Most resident memory that it ever had.
    pub(super) peak_memory_bytes: u64,
}

impl Usage {
    /// Zero where the system does not tell.
    pub(super) fn now() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Self::default() };
        // macOS counts bytes, others count kibibytes.
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        Self {
            cpu: duration(usage.user_time()) + duration(usage.system_time()),
            peak_memory_bytes: u64::try_from(usage.max_rss()).unwrap_or_default() * unit,
        }
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time() {
        let before = Usage::now();
        assert!(before.peak_memory_bytes > 1 << 20, "{before:?}");
        while Usage::now().cpu < before.cpu + Duration::from_millis(20) {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
    }
}
