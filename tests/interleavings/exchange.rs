//! The queue of the exchange: each row comes out once, whatever the order of its feeders and outputs; an error reaches an
//! output; nobody waits for ever, also with too little memory and outputs that stop early.

use std::sync::Arc;

use futures::StreamExt;
use libtest_mimic::Trial;
use shuttle::future::block_on;
use shuttle::thread;

use self::morsel::Growing;
use self::queue::{Queue, QueueMetrics};
use crate::arrow::array::{AsArray, Int32Array, RecordBatch};
use crate::arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use crate::error::{DataFusionError, Result};
use crate::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use crate::execution::runtime_env::RuntimeEnvBuilder;
use crate::execution::{SendableRecordBatchStream, TaskContext};
use crate::in_random_orders;
use crate::physical_plan::ExecutionPlan;
use crate::physical_plan::metrics::ExecutionPlanMetricsSet;
use crate::physical_plan::stream::RecordBatchStreamAdapter;
use crate::physical_plan::streaming::{PartitionStream, StreamingTableExec};

#[expect(dead_code, unreachable_pub, unused_imports, reason = "the engine uses more of it")]
#[path = "../../src/exec/exchange/morsel.rs"]
mod morsel;
#[expect(dead_code, reason = "the engine uses more of it")]
#[path = "../../src/exec/exchange/queue.rs"]
mod queue;

const ROWS: usize = 6;
const ENOUGH: usize = 1 << 20;

pub(crate) fn suite() -> Vec<Trial> {
    vec![
        in_random_orders("exchange::two_outputs_share_a_morsel", 3_000, || every_row_once(1, 1, 2, ENOUGH)),
        in_random_orders("exchange::outputs_share_the_rows", 2_000, || every_row_once(2, 2, 3, ENOUGH)),
        in_random_orders("exchange::too_little_memory_is_enough", 1_000, || every_row_once(2, 2, 3, 8)),
        in_random_orders("exchange::an_error_reaches_an_output", 1_000, error),
        in_random_orders("exchange::outputs_may_stop_early", 1_000, stop),
    ]
}

/// Each of `outputs` takes morsels until there are none; together they have every row of the inputs once.
fn every_row_once(inputs: usize, batches: usize, outputs: usize, memory: usize) {
    let (queue, pool) = queue(inputs, batches, outputs, memory, false);
    let outputs = (0..outputs).map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || take_all(&queue))
    });
    let mut rows: Vec<_> =
        outputs.collect::<Vec<_>>().into_iter().flat_map(|output| output.join().unwrap().unwrap()).collect();
    rows.sort_unstable();
    let all = (inputs * batches * ROWS) as i32;
    assert_eq!(rows, (0..all).collect::<Vec<_>>());
    drop(queue);
    assert_eq!(pool.reserved(), 0);
}

/// One input fails: an output has the error, and all of them end.
fn error() {
    let (queue, _) = queue(2, 1, 3, ENOUGH, true);
    let outputs = [0, 1, 2].map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || take_all(&queue).is_err())
    });
    let failed: Vec<_> = outputs.into_iter().map(|output| output.join().unwrap()).collect();
    assert_eq!(failed.iter().filter(|failed| **failed).count(), 1);
}

/// Outputs that stop after a morsel, as at a LIMIT, and the end of the query: feeders that wait for room end.
fn stop() {
    let (queue, pool) = queue(2, 5, 2, ENOUGH, false);
    let outputs = [0, 1].map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || block_on(queue.next()).map(|taken| taken.is_some()))
    });
    assert!(outputs.into_iter().all(|output| output.join().unwrap().unwrap()));
    drop(queue);
    // Feeders that wait for room are told to end, and free what they hold once they have.
    while pool.reserved() > 0 {
        thread::yield_now();
    }
}

fn take_all(queue: &Queue) -> Result<Vec<i32>> {
    let mut rows = Vec::new();
    while let Some(taken) = block_on(queue.next())? {
        let column = taken.morsel.batch.column(0).as_primitive::<Int32Type>();
        assert!(!column.is_empty());
        rows.extend(column.values());
    }
    Ok(rows)
}

/// A queue whose inputs have `batches` of [`ROWS`] numbers each, all of them distinct, and the pool of its memory.
fn queue(
    inputs: usize,
    batches: usize,
    outputs: usize,
    memory: usize,
    fails: bool,
) -> (Arc<Queue>, Arc<dyn MemoryPool>) {
    let schema = Arc::new(Schema::new(vec![Field::new("row", DataType::Int32, false)]));
    let partitions = (0..inputs).map(|input| {
        let fails = fails && input == 0;
        Arc::new(Numbers { schema: Arc::clone(&schema), first: input * batches, batches, fails })
            as Arc<dyn PartitionStream>
    });
    let input = StreamingTableExec::try_new(Arc::clone(&schema), partitions.collect(), None, [], false, None);
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(memory));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc().unwrap();
    let context = Arc::new(TaskContext::default().with_runtime(runtime));
    let metrics = QueueMetrics::new(&ExecutionPlanMetricsSet::new());
    let input: Arc<dyn ExecutionPlan> = Arc::new(input.unwrap());
    (Arc::new(Queue::new(input, Growing::fixed(ROWS), 1, (outputs, 2), &context, metrics)), pool)
}

/// An input: consecutive numbers, in the end an error if it `fails`.
#[derive(Debug)]
struct Numbers {
    schema: SchemaRef,
    first: usize,
    batches: usize,
    fails: bool,
}

impl PartitionStream for Numbers {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let batches = (self.first..self.first + self.batches).map(move |batch| {
            let start = (batch * ROWS) as i32;
            let numbers = Int32Array::from_iter_values(start..start + ROWS as i32);
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)])?)
        });
        let error = self.fails.then(|| Err(DataFusionError::Execution("an input that fails".to_owned())));
        let stream = futures::stream::iter(batches.chain(error)).then(|batch| async {
            shuttle::future::yield_now().await;
            batch
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
