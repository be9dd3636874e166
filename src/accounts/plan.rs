//! The accounts of a plan: the metrics of its operators, by stage and by model.
//!
//! ```text
//!  DataSinkExec ──────────► write
//!    InferExec ───────────► decode, preprocess, infer, postprocess, models, workers
//!      InferExchangeExec ─► queue
//!        ImagesExec ──────► list, read             other scans ──► read
//!                                                  other operators ──► compute
//!    calls in expressions ► as InferExec, without workers
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Metric, MetricValue, MetricsSet};

use super::account::{Accounts, ModelAccount, StageAccount};
use crate::exec::{DEVICE_USE, ExpressionMetrics, InferExchangeExec, InferExec, MODEL, RUN_TIME};
use crate::images::scan::ImagesExec;
use crate::model::runtime::{Model, RunHistogram};
use crate::progress::rows_out;

/// The accounts of `plan`, without those of the process.
pub(super) fn accounts(plan: &dyn ExecutionPlan, expressions: Option<&ExpressionMetrics>) -> Accounts {
    let mut accounts = Accounts::default();
    add(plan, &mut accounts);
    if let Some(expressions) = expressions {
        add_expressions(expressions, &mut accounts);
    }
    accounts.memory.wait_seconds = accounts.stages.decode.room_wait_seconds;
    accounts
}

/// The runs of each model, by its name.
type Runs = BTreeMap<String, RunHistogram>;

/// The runs of each model.
pub(super) fn runs(plan: &dyn ExecutionPlan, expressions: Option<&ExpressionMetrics>) -> Runs {
    let mut all = Runs::new();
    add_runs(plan, &mut all);
    if let Some(expressions) = expressions {
        add_runs_of(&expressions.models(), expressions.metrics(), &mut all);
    }
    all
}

fn add_runs(plan: &dyn ExecutionPlan, all: &mut Runs) {
    if let (Some(infer), Some(metrics)) = (plan.downcast_ref::<InferExec>(), plan.metrics()) {
        add_runs_of(infer.models(), metrics, all);
    }
    plan.children().into_iter().for_each(|child| add_runs(child.as_ref(), all));
}

fn add_runs_of<'a>(models: impl IntoIterator<Item = &'a Arc<Model>>, metrics: MetricsSet, all: &mut Runs) {
    let metrics = Metrics(metrics);
    for model in models {
        let name = &model.spec().name;
        all.entry(name.clone()).or_default().add(&metrics.of_model(name).runs());
    }
}

fn add(plan: &dyn ExecutionPlan, accounts: &mut Accounts) {
    let children = plan.children();
    if let Some(metrics) = plan.metrics() {
        let metrics = Metrics(metrics);
        accounts.memory.spilled_bytes += metrics.0.spilled_bytes().unwrap_or_default() as u64;
        if let Some(infer) = plan.downcast_ref::<InferExec>() {
            add_inference(infer, &metrics, accounts);
        } else if plan.is::<InferExchangeExec>() {
            accounts.stages.queue.add(&StageAccount {
                rows: metrics.rows(),
                bytes: metrics.count("queued_bytes"),
                busy_seconds: 0.0,
                input_wait_seconds: metrics.seconds("feed_wait_time"),
                room_wait_seconds: metrics.seconds("room_wait_time"),
            });
        } else if plan.is::<ImagesExec>() {
            add_scan_of_files(&metrics, accounts);
        } else if let Some(sink) = plan.downcast_ref::<DataSinkExec>() {
            add_sink(rows_out(sink.input().as_ref()), &metrics, accounts);
        } else if children.is_empty() {
            accounts.stages.read.add(&StageAccount {
                rows: metrics.rows(),
                bytes: metrics.count("bytes_scanned") + metrics.count("bytes_read"),
                busy_seconds: metrics.seconds("time_elapsed_processing") + metrics.seconds("read_time"),
                ..StageAccount::default()
            });
        } else {
            let compute = &mut accounts.stages.compute;
            compute.rows = compute.rows.max(metrics.rows());
            compute.busy_seconds += metrics.compute_seconds();
        }
    }
    for child in children {
        add(child.as_ref(), accounts);
    }
}

/// Calls within expressions, whose time is among that of the operators that evaluate these.
fn add_expressions(expressions: &ExpressionMetrics, accounts: &mut Accounts) {
    let metrics = Metrics(expressions.metrics());
    let compute = &mut accounts.stages.compute.busy_seconds;
    *compute = (*compute - metrics.seconds("worker_time")).max(0.0);
    add_stages(&expressions.models(), &metrics, accounts);
}

fn add_inference(infer: &InferExec, metrics: &Metrics, accounts: &mut Accounts) {
    let seconds = |name| metrics.seconds(name);
    let workers = &mut accounts.workers;
    workers.count += infer.workers();
    workers.seconds += seconds("worker_time");
    let own = ["argument_time", "load_time", "infer_time", "postprocess_time"];
    workers.busy_seconds += own.into_iter().map(seconds).sum::<f64>();
    if infer.decoders.is_none() {
        workers.busy_seconds += seconds("decode_time") + seconds("preprocess_time");
    }
    workers.input_wait_seconds += seconds("input_wait_time") + seconds("decode_wait_time");
    workers.room_wait_seconds +=
        seconds("queue_time") + seconds("memory_wait_time") + seconds("output_wait_time");
    add_stages(infer.models(), metrics, accounts);
}

/// The stages of inference, and its models.
fn add_stages<'a>(
    models: impl IntoIterator<Item = &'a Arc<Model>>,
    metrics: &Metrics,
    accounts: &mut Accounts,
) {
    let seconds = |name| metrics.seconds(name);
    let stages = &mut accounts.stages;
    stages.decode.add(&StageAccount {
        rows: metrics.count("decoded_images"),
        bytes: metrics.count("decoded_bytes"),
        busy_seconds: seconds("decode_time"),
        input_wait_seconds: 0.0,
        room_wait_seconds: seconds("memory_wait_time") + seconds("decoders_memory_wait_time"),
    });
    let prepared = StageAccount {
        rows: metrics.count("decoded_images"),
        busy_seconds: seconds("argument_time") + seconds("preprocess_time"),
        ..StageAccount::default()
    };
    stages.preprocess.add(&prepared);
    stages.infer.add(&StageAccount {
        rows: metrics.count("inferred_rows"),
        bytes: 0,
        busy_seconds: seconds("infer_time"),
        input_wait_seconds: seconds("input_wait_time") + seconds("decode_wait_time"),
        room_wait_seconds: seconds("queue_time"),
    });
    stages.postprocess.add(&StageAccount {
        rows: metrics.rows(),
        bytes: 0,
        busy_seconds: seconds("postprocess_time"),
        input_wait_seconds: 0.0,
        room_wait_seconds: seconds("output_wait_time"),
    });
    accounts.query.failed_rows += metrics.count("failed_rows");
    accounts.memory.shrunk_morsels += metrics.count("shrunk_morsels");
    for model in models {
        add_model(model, metrics, &mut accounts.models);
    }
}

fn add_model(model: &Arc<Model>, metrics: &Metrics, accounts: &mut Vec<ModelAccount>) {
    let name = model.spec().name.as_str();
    let metrics = metrics.of_model(name);
    let position = accounts.iter().position(|account| account.name == name).unwrap_or_else(|| {
        accounts.push(ModelAccount { name: name.to_owned(), ..ModelAccount::default() });
        accounts.len() - 1
    });
    let account = &mut accounts[position];
    if let (Ok(provider), Ok(sizing)) = (model.provider(), model.sizing()) {
        account.device = provider.to_string();
        account.batch_size = sizing.batch_rows;
        account.concurrency = sizing.sessions;
        account.num_cpus = sizing.threads;
    }
    account.fixed_batch = model.fixed_batch().ok().flatten();
    account.batches += metrics.count("batches");
    account.rows += metrics.count("inferred_rows");
    account.rows_a_batch = account.rows as f64 / (account.batches.max(1)) as f64;
    account.padded_rows += metrics.count("padded_rows");
    account.retried_batches += metrics.count("retried_batches");
    account.loaded_sessions = model.loaded_sessions();
    account.load_seconds += metrics.seconds("load_time");
    account.queue_seconds += metrics.seconds("queue_time");
    account.run_seconds += metrics.seconds("infer_time");
    let runs = metrics.runs();
    let quantile = |share| runs.quantile(share).map(|time| time.as_secs_f64());
    account.p50_seconds = quantile(0.5).or(account.p50_seconds);
    account.p95_seconds = quantile(0.95).or(account.p95_seconds);
    account.p99_seconds = quantile(0.99).or(account.p99_seconds);
    account.device_use = metrics.ratio(DEVICE_USE).or(account.device_use);
    account.memory_bytes = model.memory_bytes();
}

fn add_scan_of_files(metrics: &Metrics, accounts: &mut Accounts) {
    let list = StageAccount {
        rows: metrics.count("listed_files"),
        busy_seconds: metrics.seconds("list_time"),
        ..StageAccount::default()
    };
    accounts.stages.list.add(&list);
    accounts.stages.read.add(&StageAccount {
        rows: metrics.count("opened_files") + metrics.count("unreadable_files"),
        bytes: metrics.count("bytes_read"),
        busy_seconds: metrics.seconds("read_time"),
        input_wait_seconds: 0.0,
        room_wait_seconds: metrics.seconds("read_wait_time"),
    });
}

fn add_sink(rows: u64, metrics: &Metrics, accounts: &mut Accounts) {
    // Parquet's encoder works on threads of its own, beside the sink.
    let encoding = metrics.compute_seconds();
    let working = if encoding > 0.0 { encoding } else { metrics.seconds("write_time") };
    accounts.stages.write.add(&StageAccount {
        rows,
        bytes: metrics.count("stored_bytes"),
        busy_seconds: working + metrics.seconds("convert_time"),
        input_wait_seconds: metrics.seconds("input_wait_time"),
        room_wait_seconds: 0.0,
    });
}

/// The metrics of one operator.
struct Metrics(MetricsSet);

impl Metrics {
    fn count(&self, name: &str) -> u64 {
        self.0.sum_by_name(name).map_or(0, |value| value.as_usize() as u64)
    }

    fn seconds(&self, name: &str) -> f64 {
        self.count(name) as f64 / 1e9
    }

    fn rows(&self) -> u64 {
        self.0.output_rows().unwrap_or_default() as u64
    }

    fn compute_seconds(&self) -> f64 {
        self.0.elapsed_compute().unwrap_or_default() as f64 / 1e9
    }

    /// Those that are about one model.
    fn of_model(&self, name: &str) -> Self {
        let is_of = |metric: &&Arc<Metric>| {
            metric.labels().iter().any(|label| label.name() == MODEL && label.value() == name)
        };
        Self(self.0.iter().filter(is_of).cloned().collect())
    }

    /// A share, 0 to 1, if there is any of it.
    fn ratio(&self, name: &str) -> Option<f64> {
        match self.0.sum_by_name(name)? {
            MetricValue::Ratio { ratio_metrics, .. } if ratio_metrics.total() > 0 => {
                Some(ratio_metrics.part() as f64 / ratio_metrics.total() as f64)
            }
            _ => None,
        }
    }

    /// All runs.
    fn runs(&self) -> RunHistogram {
        let all = RunHistogram::default();
        for metric in self.0.iter() {
            if let MetricValue::Custom { name, value } = metric.value()
                && name == RUN_TIME
                && let Some(runs) = value.as_any().downcast_ref()
            {
                all.add(runs);
            }
        }
        all
    }
}

impl StageAccount {
    fn add(&mut self, other: &Self) {
        let Self { rows, bytes, busy_seconds, input_wait_seconds, room_wait_seconds } = other;
        self.rows += rows;
        self.bytes += bytes;
        self.busy_seconds += busy_seconds;
        self.input_wait_seconds += input_wait_seconds;
        self.room_wait_seconds += room_wait_seconds;
    }
}
