//! Entries of a local folder that can't be listed: counted by reason, reported as failures, and named in a warning.

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::error::Result;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

use super::location::Location;
use crate::config::{InferenceOptions, OnError};
use crate::failures::{FailedRow, QueryFailures, Stage};

pub(super) const NO_PERMISSION: &str = "no permission";
pub(super) const LINK_TO_NOTHING: &str = "link to nothing";
pub(super) const LOOP: &str = "link that loops";
pub(super) const NOT_UTF_8: &str = "name that is not UTF-8";
pub(super) const CONTROL_CHARACTERS: &str = "name with control characters";
pub(super) const IO_ERROR: &str = "input or output error";

/// Why entries can't be listed.
pub(crate) const REASONS: [&str; 6] =
    [NO_PERMISSION, LINK_TO_NOTHING, LOOP, NOT_UTF_8, CONTROL_CHARACTERS, IO_ERROR];

/// Maximum number of entries that the warning names.
const NAMED: usize = 3;

/// Name of the metric that counts the entries left out for `reason`.
pub(crate) fn metric_of(reason: &str) -> String {
    format!("unlisted_{}", reason.to_lowercase().replace([' ', '-'], "_"))
}

/// The entries that a listing leaves out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unlisted {
    all: Count,
    metrics: ExecutionPlanMetricsSet,
    failures: QueryFailures,
    options: InferenceOptions,
    reasons: BTreeMap<&'static str, Count>,
    /// Names of the first entries.
    names: Vec<String>,
}

impl Unlisted {
    /// Counts entries in `metrics`, and reports them to `failures`.
    pub(crate) fn new(
        metrics: &ExecutionPlanMetricsSet,
        failures: QueryFailures,
        options: InferenceOptions,
    ) -> Self {
        let all = MetricBuilder::new(metrics).counter("unlisted_entries", 0);
        Self { all, metrics: metrics.clone(), failures, options, ..Self::default() }
    }

    /// Leaves out the entry at `path` of `location`.
    ///
    /// # Errors
    /// The reason, if `inference.on_error` is `fail`; more failures than the query may have.
    pub(super) fn add(&mut self, reason: &'static str, path: &Path, location: &Location) -> Result<()> {
        self.all.add(1);
        let metric = || MetricBuilder::new(&self.metrics).counter(metric_of(reason), 0);
        self.reasons.entry(reason).or_insert_with(metric).add(1);
        let path = path.to_string_lossy().escape_debug().to_string();
        let error = format!("can't be listed: {reason}");
        let failed = FailedRow { path: Some(path.clone()), stage: Stage::List, error, model: None };
        if self.options.on_error == OnError::Fail {
            self.failures.add_failed(1, vec![failed]);
            let reason = format!("'{path}' can't be listed: {reason} (inference.on_error is 'fail')");
            return Err(self.failures.end(location.error(reason).into()));
        }
        if self.names.len() < NAMED {
            self.names.push(format!("'{path}'"));
        }
        self.failures.add_one(failed, &self.options)
    }

    /// Logs what was left out.
    pub(super) fn warn(&self, location: &Location) {
        if self.reasons.is_empty() || self.names.is_empty() {
            return;
        }
        let counts = self.reasons.iter().map(|(reason, count)| (reason, count.value()));
        let all: usize = counts.clone().map(|(_, count)| count).sum();
        let reasons: Vec<_> = counts.map(|(reason, count)| format!("{count} × {reason}")).collect();
        let and_more = if all > NAMED { ", …" } else { "" };
        tracing::warn!(
            "{location}: entries that can't be listed were left out: {} ({}{and_more})",
            reasons.join(", "),
            self.names.join(", ")
        );
    }
}
