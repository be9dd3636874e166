//! Shared by the tests: the set-up's folders, engines that use them, and the metrics of executed plans.

mod home;
pub(crate) mod process;
pub(crate) mod s3;
pub(crate) mod server;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use seequel::Engine;
use tempfile::TempDir;

pub(crate) use home::home;

/// A home with the set-up's library and a model, as links: tunings are written there, and nowhere else.
pub(crate) fn home_with_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    for linked in ["lib", "models/efficientnet_lite0"] {
        symlink(home().join(linked), folder.path().join(linked)).unwrap();
    }
    folder
}

/// The folder of the set-up's photos.
pub(crate) fn photos() -> PathBuf {
    home().join("photos")
}

/// An engine with two target partitions on any machine and the photos as table `images`.
pub(crate) async fn engine() -> Engine {
    let engine = Engine::builder().home(home()).config(two_partitions()).build().unwrap();
    let create = format!("CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '{}'", photos().display());
    engine.sql(&create).await.unwrap();
    engine
}

pub(crate) fn two_partitions() -> SessionConfig {
    SessionConfig::new().with_target_partitions(2)
}

/// A folder of `count` small photos, hard links to one.
pub(crate) fn folder_of(count: usize) -> TempDir {
    let folder = tempfile::tempdir_in(home()).unwrap();
    for number in 0..count {
        std::fs::hard_link(photos().join("lion.jpg"), folder.path().join(format!("{number:04}.jpg")))
            .unwrap();
    }
    folder
}

/// The values of an attribute in a page, unescaped.
pub(crate) fn attributes(html: &str, name: &str) -> Vec<serde_json::Value> {
    let start = format!(" {name}=\"");
    let values = html.split(&start).skip(1).map(|rest| rest.split_once('"').unwrap().0);
    values
        .map(|value| serde_json::from_str(&value.replace("&quot;", "\"").replace("&amp;", "&")).unwrap())
        .collect()
}

/// A completed query: its rows, and the plan with its metrics.
pub(crate) struct Run {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) plan: Arc<dyn ExecutionPlan>,
}

impl Run {
    pub(crate) async fn new(engine: &Engine, sql: &str) -> Self {
        let plan = engine.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let context = Arc::new(TaskContext::from(&engine.context().state()));
        let batches = collect(Arc::clone(&plan), context).await.unwrap();
        Self { batches, plan }
    }

    /// Sum of a metric over all operators named `operator`.
    pub(crate) fn metric(&self, operator: &str, metric: &str) -> usize {
        sum(&self.plan, operator, metric)
    }

    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

fn sum(plan: &Arc<dyn ExecutionPlan>, operator: &str, metric: &str) -> usize {
    let own =
        plan.metrics().filter(|_| plan.name() == operator).and_then(|metrics| metrics.sum_by_name(metric));
    let below: usize = plan.children().into_iter().map(|child| sum(child, operator, metric)).sum();
    own.map_or(0, |value| value.as_usize()) + below
}
