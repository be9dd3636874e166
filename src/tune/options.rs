//! The OPTIONS of `TUNE MODEL`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::model::settings::keywords;
use crate::model::spec::{Device, Precision};
use crate::report::check_report;
use crate::{Error, Result};

/// Every key.
pub(crate) const TUNE_OPTIONS: [&str; 6] =
    ["budget", "devices", "metric", "min_agreement", "precisions", "report"];

/// How long the search takes, unless it is sure earlier.
const BUDGET: Duration = Duration::from_secs(30);

/// As for `CREATE MODEL … AS QUANTIZED`.
const MIN_AGREEMENT: f64 = 0.98;

/// Less says nothing, more is a mistake.
const BUDGETS: std::ops::RangeInclusive<u64> = 1..=3600;

keywords! {
    /// What is best.
    pub(super) enum Metric {
        /// Most rows a second.
        Throughput = "throughput",
        /// The shortest time of a run.
        Latency = "latency",
    }
}

/// How to search.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TuneOptions {
    pub(super) budget: Duration,
    pub(super) metric: Metric,
    /// Devices to try; none for the model's own.
    pub(super) devices: Vec<Device>,
    /// Precisions to try; none for the model's own.
    pub(super) precisions: Vec<Precision>,
    /// Share of the predictions, 0 to 1, that must be those of the model in float32 on the CPU.
    pub(super) min_agreement: f64,
    /// Where to write a page about it.
    pub(super) report: Option<PathBuf>,
}

impl TuneOptions {
    /// Whether other devices or precisions than the model's own are asked for.
    pub(super) fn asks_for_others(&self) -> bool {
        !self.devices.is_empty() || !self.precisions.is_empty()
    }

    /// # Errors
    /// [`Error::Option`]: a key that is unknown, or a value that is malformed.
    pub(super) fn of(model: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let invalid = |option: &str, reason: String| Error::Option {
            model: model.to_owned(),
            option: option.to_owned(),
            reason,
        };
        let mut tune = Self {
            budget: BUDGET,
            metric: Metric::Throughput,
            devices: vec![],
            precisions: vec![],
            min_agreement: MIN_AGREEMENT,
            report: None,
        };
        for (key, value) in options {
            match key.to_ascii_lowercase().as_str() {
                "budget" => {
                    tune.budget = seconds(value).ok_or_else(|| {
                        let (least, most) = (BUDGETS.start(), BUDGETS.end());
                        invalid(
                            key,
                            format!("'{value}' is no time from {least}s to {most}s, such as 30s or 2m"),
                        )
                    })?;
                }
                "metric" => {
                    tune.metric = value.parse().map_err(|error| invalid(key, format!("{error}")))?;
                }
                "devices" => tune.devices = list(value).map_err(|reason| invalid(key, reason))?,
                "precisions" => {
                    tune.precisions = list(value).map_err(|reason| invalid(key, reason))?;
                }
                "min_agreement" => {
                    let share = value.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                    tune.min_agreement =
                        share.ok_or_else(|| invalid(key, format!("'{value}' is not a share from 0 to 1")))?;
                }
                "report" => {
                    check_report(Path::new(value)).map_err(|reason| invalid(key, reason))?;
                    tune.report = Some(value.into());
                }
                _ => {
                    let reason = format!("TUNE MODEL has the options {}", TUNE_OPTIONS.join(", "));
                    return Err(invalid(key, reason));
                }
            }
        }
        Ok(tune)
    }
}

/// `cpu,openvino`.
fn list<T: FromStr<Err: Display>>(text: &str) -> Result<Vec<T>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let items = items.map(|item| item.parse().map_err(|error: T::Err| error.to_string()));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() { Err("it names none".to_owned()) } else { Ok(items) }
}

/// `30s`, `2m`, or a number of seconds.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => (text, 1),
    };
    let seconds = number.trim().parse::<u64>().ok()?.checked_mul(unit)?;
    BUDGETS.contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<TuneOptions> {
        let options = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        TuneOptions::of("m", &options.collect())
    }

    #[test]
    fn values_are_checked() -> Result<()> {
        let given = of(&[
            ("Budget", "2m"),
            ("metric", "latency"),
            ("devices", "cpu, OpenVINO"),
            ("precisions", "f32,int8"),
            ("min_agreement", "0.9"),
        ])?;
        let expected = TuneOptions {
            budget: Duration::from_secs(120),
            metric: Metric::Latency,
            devices: ["cpu", "openvino"].map(|name| name.parse().unwrap()).to_vec(),
            precisions: vec![Precision::F32, Precision::Int8],
            min_agreement: 0.9,
            report: None,
        };
        assert_eq!(given, expected);
        assert_eq!(of(&[("budget", "5")])?.budget, Duration::from_secs(5));
        let errors = [
            of(&[("budget", "0s")]),
            of(&[("budget", "two")]),
            of(&[("metric", "speed")]),
            of(&[("devices", "cpu,gpu 0")]),
            of(&[("precisions", "f32,int4")]),
            of(&[("precisions", ",")]),
            of(&[("min_agreement", "98")]),
            of(&[("report", "tuning.pdf")]),
            of(&[("report", "/missing/tuning.html")]),
            of(&[("batch_size", "4")]),
        ];
        let errors = errors.map(|result| result.err().map(|error| error.to_string()).unwrap_or_default());
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'budget': '0s' is no time from 1s to 3600s, such as 30s or 2m
        model 'm': option 'budget': 'two' is no time from 1s to 3600s, such as 30s or 2m
        model 'm': option 'metric': 'speed' is not one of throughput, latency
        model 'm': option 'devices': 'gpu 0' is not a device such as auto, cpu, openvino, webgpu:0 or cuda:0
        model 'm': option 'precisions': 'int4' is not one of auto, f32, bf16, f16, int8
        model 'm': option 'precisions': it names none
        model 'm': option 'min_agreement': '98' is not a share from 0 to 1
        model 'm': option 'report': 'tuning.pdf' is no HTML file, such as 'tuning.html'
        model 'm': option 'report': there is no folder '/missing'
        model 'm': option 'batch_size': TUNE MODEL has the options budget, devices, metric, min_agreement, precisions, report
        ");
        Ok(())
    }
}
