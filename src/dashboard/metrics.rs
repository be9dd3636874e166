//! `/metrics`: the engine in Prometheus' text format.
//!
//! Counters never fall: those of rows are of queries that have ended and of those that run, whatever the list of queries
//! has forgotten, and those of a model are the model's own, since it was created.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::process::Process;
use super::shared::Shared;
use crate::model::Predictor;
use crate::model::runtime::Model;

pub(super) use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// Upper bounds of the buckets for the time of a batch, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];

/// All metrics as text.
///
/// # Errors
/// None that is known of.
pub(super) fn metrics(shared: &Arc<Shared>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let process = shared.meter.lock().read(&shared.context);
    registry.register_collector(Box::new(EngineMetrics { shared: Arc::clone(shared), process }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Names and values.
type Labels = [(&'static str, String); 2];

/// The metrics at the moment of a request.
struct EngineMetrics {
    shared: Arc<Shared>,
    process: Process,
}

impl Collector for EngineMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_queries(&mut encoder)?;
        self.encode_models(&mut encoder)?;
        self.encode_process(&mut encoder)
    }
}

impl EngineMetrics {
    fn encode_queries(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.shared.queries.totals();
        gauge(encoder, "seequel_queries_running", "Queries that run", None, totals.running as f64)?;
        let (name, help) = ("seequel_queued_morsels", "Morsels of rows that wait for a thread that infers");
        gauge(encoder, name, help, None, totals.queued_morsels as f64)?;
        let help = "Queries that have ended, by their state";
        let mut family = encoder.encode_descriptor("seequel_queries", help, None, MetricType::Counter)?;
        for (state, count) in
            [("finished", totals.finished), ("failed", totals.failed), ("cancelled", totals.cancelled)]
        {
            let counter = ConstCounter::new(count);
            counter.encode(family.encode_family(&[("state", state)])?)?;
        }
        let help = "Images that queries decoded for models, or rows of queries without images";
        counter(encoder, "seequel_images", help, None, totals.images as f64)?;
        let help = "Predictions that are errors";
        counter(encoder, "seequel_failed_rows", help, None, totals.failed_rows as f64)?;
        let help = "Bytes of files and tables that queries read";
        counter(encoder, "seequel_read", help, Some(&Unit::Bytes), totals.read_bytes as f64)
    }

    fn encode_models(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let models = self.models();
        let help = "Rows that the model ran on";
        of_models(encoder, ("seequel_inferred_rows", help, None), MetricType::Counter, &models, |model| {
            ConstCounter::new(model.inferred_rows() as f64)
        })?;
        let help = "Sessions of the model that are loaded";
        of_models(encoder, ("seequel_model_sessions", help, None), MetricType::Gauge, &models, |model| {
            ConstGauge::new(model.loaded_sessions() as f64)
        })?;
        let (help, unit) = ("Memory that the model's loaded sessions have taken", Some(&Unit::Bytes));
        of_models(encoder, ("seequel_model_memory", help, unit), MetricType::Gauge, &models, |model| {
            ConstGauge::new(model.memory_bytes() as f64)
        })?;
        let help = "Time of a batch in the model";
        let name = "seequel_batch_duration";
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (model, labels) in &models {
            let (sum, count, buckets) = histogram(&model.run_times());
            let mut metric = family.encode_family(labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let process = &self.process;
        let (bytes, seconds) = (Some(&Unit::Bytes), Some(&Unit::Seconds));
        let reserved = "Memory that queries have reserved";
        gauge(encoder, "seequel_memory_reserved", reserved, bytes, process.reserved_bytes as f64)?;
        if let Some(limit) = process.reservable_bytes {
            gauge(encoder, "seequel_memory_limit", "Memory that queries may reserve", bytes, limit as f64)?;
        }
        let resident = "Resident memory size in bytes";
        gauge(encoder, "process_resident_memory", resident, bytes, process.memory_bytes as f64)?;
        let started = "Start time of the process since unix epoch in seconds";
        gauge(encoder, "process_start_time", started, seconds, process.started_seconds as f64)?;
        let cpu = "Total user and system CPU time spent in seconds";
        counter(encoder, "process_cpu", cpu, seconds, process.cpu_seconds)
    }

    /// The models that have been placed on a device by a query, with their labels.
    fn models(&self) -> Vec<(Arc<Model>, Labels)> {
        let registry = &self.shared.models;
        let names = registry.names().into_iter();
        let models = names.filter_map(|name| match registry.predictor(&name) {
            Ok(Predictor::Model(model)) => Some(model),
            _ => None,
        });
        let used = models.filter(|model| model.inferred_rows() > 0 || model.loaded_sessions() > 0);
        let labelled = used.filter_map(|model| {
            let device = model.provider().ok()?.to_string();
            let name = model.spec().name.clone();
            Some((model, [("model", name), ("device", device)]))
        });
        labelled.collect()
    }
}

impl fmt::Debug for EngineMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineMetrics").field("process", &self.process).finish_non_exhaustive()
    }
}

/// A metric of each model; its name, help and unit are those of all.
fn of_models<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    kind: MetricType,
    models: &[(Arc<Model>, Labels)],
    metric: impl Fn(&Model) -> M,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
    models.iter().try_for_each(|(model, labels)| metric(model).encode(family.encode_family(labels)?))
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: f64,
) -> fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: f64,
) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, unit, MetricType::Counter)?)
}

/// The sum, the number and the buckets of times.
fn histogram(times: &[(std::time::Duration, u64)]) -> (f64, u64, Vec<(f64, u64)>) {
    let mut buckets: Vec<(f64, u64)> = BUCKETS.iter().map(|bound| (*bound, 0)).collect();
    let (mut sum, mut count) = (0.0, 0);
    for (time, times) in times {
        let seconds = time.as_secs_f64();
        sum += seconds * *times as f64;
        count += times;
        if let Some((_, within)) = buckets.iter_mut().find(|(bound, _)| seconds <= *bound) {
            *within += times;
        }
    }
    (sum, count, buckets)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_time_is_in_one_bucket() {
        let times =
            [(Duration::from_millis(2), 3), (Duration::from_millis(30), 2), (Duration::from_secs(60), 1)];
        let (sum, count, buckets) = histogram(&times);
        assert!((sum - 60.066).abs() < 1e-9 && count == 6);
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0025, 3), (0.05, 2), (f64::INFINITY, 1)]);
    }
}
