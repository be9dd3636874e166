//! How busy the device of a model is while a query runs on it, where its provider tells.

use std::sync::Arc;

use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, RatioMetrics};
use parking_lot::Mutex;

use super::MODEL;
use super::sampling::EachSecond;

/// Name of the metric.
pub(crate) const DEVICE_USE: &str = "device_use";

/// A sample counts as this many parts of a whole.
const PARTS: f64 = 1000.0;

/// The mean of samples, one a second: providers tell the use of the last second or less. Without any, as on a CPU, there is
/// no metric.
#[derive(Debug, Clone)]
pub(crate) struct DeviceUse(Arc<(EachSecond, Mutex<Samples>)>);

#[derive(Debug)]
struct Samples {
    set: ExecutionPlanMetricsSet,
    partition: usize,
    model: String,
    ratio: Option<RatioMetrics>,
}

impl DeviceUse {
    /// The use of the device of `model`, in one partition.
    pub(super) fn new(set: &ExecutionPlanMetricsSet, partition: usize, model: &str) -> Self {
        let (set, model) = (set.clone(), model.to_owned());
        let samples = Samples { set, partition, model, ratio: None };
        Self(Arc::new((EachSecond::default(), Mutex::new(samples))))
    }

    /// Adds what `share` tells, 0 to 1, unless it was asked within the last second.
    pub(crate) fn sample(&self, share: impl FnOnce() -> Option<f64>) {
        let (each_second, samples) = self.0.as_ref();
        if each_second.is_due()
            && let Some(share) = share()
        {
            samples.lock().add(share);
        }
    }
}

impl Samples {
    fn add(&mut self, share: f64) {
        let Self { set, partition, model, ratio, .. } = self;
        let ratio = ratio.get_or_insert_with(|| {
            let builder = MetricBuilder::new(set).with_new_label(MODEL, model.clone());
            builder.ratio_metrics(DEVICE_USE, *partition)
        });
        ratio.add_part((share.clamp(0.0, 1.0) * PARTS).round() as usize);
        ratio.add_total(PARTS as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_samples_is_a_metric_and_none_is_none() {
        let set = ExecutionPlanMetricsSet::new();
        let device_use = DeviceUse::new(&set, 0, "m");
        device_use.sample(|| None);
        assert!(set.clone_inner().sum_by_name(DEVICE_USE).is_none());
        let device_use = DeviceUse::new(&set, 0, "m");
        device_use.sample(|| Some(0.5));
        device_use.sample(|| panic!("it was asked less than a second ago"));
        device_use.0.1.lock().add(1.0);
        let metrics = set.clone_inner();
        let shown = metrics.iter().find(|metric| metric.value().name() == DEVICE_USE).unwrap().to_string();
        assert!(shown.contains("75%"), "{shown}");
    }
}
