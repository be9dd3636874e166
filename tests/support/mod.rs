//! Shared by the tests: the set-up's folders, engines that use them, and the metrics of executed plans.

mod folders;
mod home;
pub(crate) mod process;
pub(crate) mod s3;
pub(crate) mod server;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use seequel::Engine;

pub(crate) use folders::{folder_of, home_with_model, photos};
pub(crate) use home::home;

/// An engine with two target partitions on any machine and the photos as table `images`.
pub(crate) async fn engine() -> Engine {
    with_images(Engine::builder().home(home()).config(two_partitions()).build().unwrap()).await
}

/// The engine with the photos as table `images`.
pub(crate) async fn with_images(engine: Engine) -> Engine {
    let create = format!("CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '{}'", photos().display());
    engine.sql(&create).await.unwrap();
    engine
}

pub(crate) fn two_partitions() -> SessionConfig {
    SessionConfig::new().with_target_partitions(2)
}

/// A number among the arguments that `make` passes in the variable `ARGS` to tests that take minutes: `--seed 7`.
pub(crate) fn argument(name: &str, default: u64) -> u64 {
    let arguments = std::env::var("ARGS").unwrap_or_default();
    let value = arguments.split_whitespace().skip_while(|word| *word != name).nth(1);
    value.map_or(default, |value| value.parse().unwrap())
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
