//! What is known of a query on the cluster while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{self, Metric, MetricValue, MetricsSet};
use parking_lot::Mutex;
use seequel_cluster::JobProgress;

use super::ran::RanExec;
use crate::progress::{Count, Stage};

/// What is known of a query.
#[derive(Debug, Default)]
pub(super) struct Seen {
    progress: Mutex<JobProgress>,
    /// The plan that runs, if its files were not known before.
    dealt: Mutex<Option<Arc<dyn ExecutionPlan>>>,
    /// The stages, once they have all ended.
    ran: OnceLock<Vec<Arc<dyn ExecutionPlan>>>,
}

impl Seen {
    pub(super) fn see(&self, progress: JobProgress) {
        let has_ended = progress.stages.iter().all(|stage| stage.ended == stage.tasks);
        if has_ended && progress.waiting == 0 && !progress.stages.is_empty() {
            self.ran.get_or_init(|| progress.stages.iter().rev().map(RanExec::stage).collect());
        }
        *self.progress.lock() = progress;
    }

    /// This plan runs, whose files were not known before.
    pub(super) fn deal(&self, plan: &Arc<dyn ExecutionPlan>) {
        *self.dealt.lock() = Some(Arc::clone(plan));
    }

    /// The plan that runs, if its files were not known before.
    pub(super) fn dealt(&self) -> Option<Arc<dyn ExecutionPlan>> {
        self.dealt.lock().clone()
    }

    /// How far it is.
    pub(super) fn progress(&self) -> JobProgress {
        self.progress.lock().clone()
    }

    /// The stages, once they have all ended.
    pub(super) fn ran(&self) -> Option<&[Arc<dyn ExecutionPlan>]> {
        self.ran.get().map(Vec::as_slice)
    }
}

/// The files of images, and the rows of other tables.
pub(super) fn read_rows(progress: &JobProgress) -> u64 {
    let rows = progress.operators().map(|operator| match operator.name.as_str() {
        "FetchImagesExec" => operator.count("chosen_files"),
        // The names of files are of one, too, which does not count them.
        "DataSourceExec" => operator.metrics.output_rows().unwrap_or_default() as u64,
        _ => 0,
    });
    rows.sum()
}

/// The rows that models ran on, or failed on.
pub(super) fn runs(progress: &JobProgress) -> u64 {
    progress.count("inferred_rows") + progress.count("failed_rows")
}

/// Adds counts of stages to an operator's metrics, as [`QueryProgress`](crate::QueryProgress) reads them.
pub(super) fn add_counts(metrics: &mut MetricsSet, counts: BTreeMap<Stage, Count>, progress: &JobProgress) {
    let mut add = |name: String, value: u64| {
        let count = metrics::Count::new();
        count.add(usize::try_from(value).unwrap_or(usize::MAX));
        metrics.push(Arc::new(Metric::new(MetricValue::Count { name: name.into(), count }, None)));
    };
    if counts.contains_key(&Stage::Inferred) {
        add("failed_rows".to_owned(), progress.count("failed_rows"));
    }
    for (stage, Count { done, total }) in counts {
        add(stage.to_string(), done);
        if let Some(total) = total {
            add(format!("{stage}_total"), total);
        }
    }
}
