//! How long the runs of a model take: the sums of their phases, and the distribution of single runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::metrics::{CustomMetricValue, Time};
use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::clock::ACCOUNTED;

/// Metrics for the runs of a model.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunTimes {
    /// Waiting for a session.
    pub(crate) queue: Time,
    /// Loading sessions.
    pub(crate) load: Time,
    /// Computing.
    pub(crate) infer: Time,
    /// Each run that succeeded.
    pub(crate) runs: RunHistogram,
}

/// The distribution of the times of runs. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct RunHistogram(Arc<Mutex<Option<Histogram<u64>>>>);

impl RunHistogram {
    pub(crate) fn record(&self, time: Duration) {
        if !ACCOUNTED {
            return;
        }
        if let Some(times) = self.0.lock().as_mut() {
            times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// The time that a share of the runs took at most, such as half of them with 0.5; `None` before the first run.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let times = self.0.lock();
        let times = times.as_ref().filter(|times| !times.is_empty())?;
        Some(Duration::from_micros(times.value_at_quantile(share)))
    }

    /// The times of the runs, to two digits, and how many took as long.
    pub(crate) fn recorded(&self) -> Vec<(Duration, u64)> {
        let times = self.0.lock();
        let of = |times: &Histogram<u64>| {
            times
                .iter_recorded()
                .map(|time| (Duration::from_micros(time.value_iterated_to()), time.count_at_value()))
                .collect()
        };
        times.as_ref().map(of).unwrap_or_default()
    }

    /// Adds the runs of `other`.
    pub(crate) fn add(&self, other: &Self) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        // A copy, so that no two locks are held at once.
        let Some(added) = other.0.lock().clone() else { return };
        if let Some(times) = self.0.lock().as_mut() {
            // Both have the same bounds.
            let _ = times.add(&added);
        }
    }
}

/// Microseconds up to an hour, to two digits, which takes 25 kB. There are always such.
impl Default for RunHistogram {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Histogram::new_with_bounds(1, 3_600_000_000, 2).ok())))
    }
}

/// `p50=2.7ms, p95=3.1ms, p99=4ms`
impl fmt::Display for RunHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, share)) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)].into_iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            match self.quantile(share) {
                Some(time) => write!(f, "{separator}{name}={time:.2?}")?,
                None => write!(f, "{separator}{name}=none")?,
            }
        }
        Ok(())
    }
}

impl CustomMetricValue for RunHistogram {
    fn new_empty(&self) -> Arc<dyn CustomMetricValue> {
        Arc::new(Self::default())
    }

    fn aggregate(&self, other: Arc<dyn CustomMetricValue>) {
        if let Some(other) = other.as_any().downcast_ref() {
            self.add(other);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_eq(&self, other: &Arc<dyn CustomMetricValue>) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| {
            let shares = [0.5, 0.95, 0.99];
            shares.iter().all(|share| self.quantile(*share) == other.quantile(*share))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_partitions_are_added() {
        let (one, other) = (RunHistogram::default(), RunHistogram::default());
        assert_eq!(one.to_string(), "p50=none, p95=none, p99=none");
        (1..=50).for_each(|ms| one.record(Duration::from_millis(ms)));
        (51..=100).for_each(|ms| other.record(Duration::from_millis(ms)));
        let sum = one.new_empty();
        sum.aggregate(Arc::new(one));
        sum.aggregate(Arc::new(other));
        let sum = sum.as_any().downcast_ref::<RunHistogram>().unwrap();
        for (share, ms) in [(0.5, 50), (0.95, 95), (1.0, 100)] {
            let found = sum.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found / f64::from(ms) - 1.0).abs() < 0.02, "{found} ms for {share}");
        }
        sum.aggregate(Arc::new(sum.clone()));
        assert!(sum.to_string().starts_with("p50=5"), "{sum}");
    }
}
