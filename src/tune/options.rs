//! The OPTIONS of `TUNE MODEL`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::settings::keywords;
use crate::{Error, Result};

/// Every key.
pub(crate) const TUNE_OPTIONS: [&str; 2] = ["budget", "metric"];

/// How long the search takes, unless it is sure earlier.
const BUDGET: Duration = Duration::from_secs(30);

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TuneOptions {
    pub(super) budget: Duration,
    pub(super) metric: Metric,
}

impl TuneOptions {
    /// # Errors
    /// [`Error::Option`]: a key that is unknown, or a value that is malformed.
    pub(super) fn of(model: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let invalid = |option: &str, reason: String| Error::Option {
            model: model.to_owned(),
            option: option.to_owned(),
            reason,
        };
        let mut tune = Self { budget: BUDGET, metric: Metric::Throughput };
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
                _ => {
                    let reason = format!("TUNE MODEL has the options {}", TUNE_OPTIONS.join(", "));
                    return Err(invalid(key, reason));
                }
            }
        }
        Ok(tune)
    }
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
        assert_eq!(of(&[])?, TuneOptions { budget: BUDGET, metric: Metric::Throughput });
        let given = of(&[("Budget", "2m"), ("metric", "latency")])?;
        assert_eq!(given, TuneOptions { budget: Duration::from_secs(120), metric: Metric::Latency });
        assert_eq!(of(&[("budget", "5")])?.budget, Duration::from_secs(5));
        let errors = [
            of(&[("budget", "0s")]),
            of(&[("budget", "two")]),
            of(&[("metric", "speed")]),
            of(&[("batch_size", "4")]),
        ];
        let errors = errors.map(|result| result.err().map(|error| error.to_string()).unwrap_or_default());
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'budget': '0s' is no time from 1s to 3600s, such as 30s or 2m
        model 'm': option 'budget': 'two' is no time from 1s to 3600s, such as 30s or 2m
        model 'm': option 'metric': 'speed' is not one of throughput, latency
        model 'm': option 'batch_size': TUNE MODEL has the options budget, metric
        ");
        Ok(())
    }
}
