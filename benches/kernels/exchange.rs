//! Rows through the exchange, to outputs that do nothing with them: what passing a morsel on costs.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use datafusion::arrow::array::{ArrayRef, BinaryViewArray, RecordBatch};
use datafusion::common::runtime::JoinSet;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::TryStreamExt;
use seequel::exec::{InferExchangeExec, MorselRows};
use tokio::runtime::Runtime;

/// Bytes of a row: a small photo.
const IMAGE_BYTES: usize = 40 << 10;

/// As many batches, of as many rows each, as a folder of small photos gives.
const BATCHES: usize = 64;
const BATCH_ROWS: usize = 64;

/// The rows of a morsel on a CPU.
const MORSEL_ROWS: usize = 8;

pub(crate) fn measure(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("exchange");
    group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS / MORSEL_ROWS) as u64));
    for outputs in [1, 2, 4] {
        group.bench_function(format!("morsels/1→{outputs}"), |bencher| {
            bencher.iter(|| {
                let exchange =
                    InferExchangeExec::new(photos(), outputs, MorselRows { most: MORSEL_ROWS, least: 1 });
                let rows = runtime.block_on(drain(Arc::new(exchange)));
                assert_eq!(rows, BATCHES * BATCH_ROWS);
            });
        });
    }
    group.finish();
}

/// Rows that all share the bytes of one photo.
fn photos() -> Arc<dyn ExecutionPlan> {
    let photo = vec![7; IMAGE_BYTES];
    let images: ArrayRef = Arc::new(BinaryViewArray::from_iter_values((0..BATCH_ROWS).map(|_| &photo)));
    let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
    let schema = batch.schema();
    MemorySourceConfig::try_new_exec(&[vec![batch; BATCHES]], schema, None).unwrap()
}

/// Takes all outputs at once, each on a task of its own; returns the rows they had.
async fn drain(plan: Arc<dyn ExecutionPlan>) -> usize {
    let context = Arc::new(TaskContext::default());
    let mut outputs = JoinSet::new();
    for output in 0..plan.output_partitioning().partition_count() {
        let batches = plan.execute(output, Arc::clone(&context)).unwrap();
        outputs.spawn(batches.try_fold(0, async |rows, batch| Ok(rows + batch.num_rows())));
    }
    outputs.join_all().await.into_iter().map(Result::unwrap).sum()
}
