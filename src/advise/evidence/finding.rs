//! What was found, as a table.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::error::DataFusionError;

use crate::Result;

/// Changes that gain less are not worth a mention: the machine varies as much.
pub(in crate::advise) const LEAST_GAIN: f64 = 1.05;

/// One cause of lost time, and the change that mends it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::advise) struct Finding {
    /// A short name, which stays the same: `batch`, `sessions`, `store`, …
    pub(in crate::advise) cause: &'static str,
    /// What is wrong.
    pub(in crate::advise) finding: String,
    /// How that is known, in figures.
    pub(in crate::advise) evidence: String,
    /// Throughput after the change in multiples of what it is; `None` if there is no change.
    pub(in crate::advise) gain: Option<f64>,
    /// The SQL or the setting.
    pub(in crate::advise) change: Option<String>,
}

/// The findings in order, a row each.
pub(in crate::advise) fn table(findings: &[Finding]) -> Result<RecordBatch> {
    let strings = |text: fn(&Finding) -> Option<&str>| {
        Arc::new(findings.iter().map(text).collect::<StringArray>()) as ArrayRef
    };
    let gains = findings.iter().map(|finding| finding.gain.map(|gain| (gain * 100.0).round() / 100.0));
    let columns = [
        ("cause", strings(|finding| Some(finding.cause))),
        ("finding", strings(|finding| Some(&finding.finding))),
        ("evidence", strings(|finding| Some(&finding.evidence))),
        ("gain", Arc::new(gains.collect::<Float64Array>()) as ArrayRef),
        ("change", strings(|finding| finding.change.as_deref())),
    ];
    let columns = columns.map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?)
}

/// `84 %`
pub(in crate::advise) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `3.1 MB`
pub(in crate::advise) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// `1 session`, `2 sessions`
pub(in crate::advise) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
