//! What is looked at now and then, because it costs more than counting.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const PERIOD: Duration = Duration::from_secs(1);

/// Says, at most once a second, that it is time.
#[derive(Debug, Default)]
pub(crate) struct EachSecond(Mutex<Option<Instant>>);

impl EachSecond {
    /// Whether the last time was a second ago or more, or this is the first.
    pub(crate) fn is_due(&self) -> bool {
        // Another thread takes this turn if it is locked.
        let Some(mut last) = self.0.try_lock() else { return false };
        let is_due = last.is_none_or(|last| last.elapsed() >= PERIOD);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_time_is_a_second_later() {
        let each = EachSecond::default();
        assert!(each.is_due());
        assert!(!each.is_due());
        *each.0.lock() = Instant::now().checked_sub(PERIOD);
        assert!(each.is_due());
    }
}
