//! Stages whose files are deleted.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{Action, Ticket};
use ballista_core::error::BallistaError;
use ballista_core::execution_plans::sort_shuffle::{SortShuffleConfig, get_index_path};
use ballista_core::execution_plans::{ShuffleReaderExec, ShuffleWriterExec, SortShuffleWriterExec};
use ballista_core::serde::protobuf::{self, ShuffleWritePartition};
use ballista_core::serde::scheduler::{
    Action as Wanted, ExecutorMetadata, ExecutorOperatingSystemSpecification, ExecutorSpecification,
    PartitionId, PartitionLocation, PartitionStats, ShuffleFileKind, ShuffleLayout,
};
use ballista_executor::execution_engine::ExecutionEngine;
use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion::prelude::SessionConfig;
use futures::stream;
use prost::Message;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tonic::Request;

use super::served::Served;
use crate::executor::disk::Disk;
use crate::executor::tasks::{Engine, Jobs};

const ROWS: u64 = 100;

/// A partition of numbers. At its end a folder is deleted, if it names one.
#[derive(Debug)]
struct Numbers {
    batch: RecordBatch,
    schema: SchemaRef,
    deletes: Option<PathBuf>,
}

impl Numbers {
    fn plan(deletes: Option<PathBuf>) -> Arc<dyn ExecutionPlan> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS.cast_signed()));
        let batch = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
        let schema = batch.schema();
        let partition = Arc::new(Self { batch, schema: Arc::clone(&schema), deletes });
        Arc::new(StreamingTableExec::try_new(schema, vec![partition], None, [], false, None).unwrap())
    }
}

impl PartitionStream for Numbers {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (rows, deletes) = (stream::iter([Ok(self.batch.clone())]), self.deletes.clone());
        let end = stream::once(async move {
            let deletes = deletes?;
            let data = deletes.join("1/0/data-7.arrow");
            while !data.exists() {
                tokio::task::yield_now().await;
            }
            fs::remove_dir_all(&deletes).unwrap();
            None
        });
        let end = futures::StreamExt::filter_map(end, std::future::ready);
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::StreamExt::chain(rows, end),
        ))
    }
}

/// Runs a stage's plan as task 7 of a job.
async fn run(plan: Arc<dyn ExecutionPlan>, folder: &TempDir) -> Result<Vec<ShuffleWritePartition>> {
    let disk = Disk::new(Arc::new(Semaphore::new(1)), 1);
    let (engine, folder) = (Engine::new(Arc::<Jobs>::default(), disk), folder.path().to_string_lossy());
    let config = SessionConfig::new();
    let stage = engine.create_query_stage_exec("job".into(), 1, 7, vec![0], plan, &folder, &config)?;
    stage.execute_query_stage(7, Arc::new(TaskContext::default())).await
}

fn writing(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(ShuffleWriterExec::try_new("job".into(), 1, input, String::new()).unwrap())
}

/// A sorted shuffle of the numbers into one partition, and a plan that reads it.
async fn sorted(folder: &TempDir) -> (PathBuf, Arc<dyn ExecutionPlan>) {
    let numbers = Numbers::plan(None);
    let schema = numbers.schema();
    let by = Partitioning::Hash(vec![col("number", &schema).unwrap()], 1);
    let (job, config) = ("job".into(), SortShuffleConfig::default());
    let writer = SortShuffleWriterExec::try_new(job, 1, numbers, String::new(), by.clone(), config);
    let written = run(Arc::new(writer.unwrap()), folder).await.unwrap();
    let [written] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!((written.num_rows, written.is_sort_shuffle), (ROWS, true));
    let location = PartitionLocation {
        map_partition_id: 0,
        partition_id: PartitionId::new(&"job".into(), 1, 0),
        executor_meta: ExecutorMetadata {
            id: "us".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 9,
            grpc_port: 9,
            specification: ExecutorSpecification::default(),
            os_info: ExecutorOperatingSystemSpecification::default(),
        },
        partition_stats: PartitionStats::default(),
        file_id: written.file_id,
        is_sort_shuffle: true,
    };
    let data = location.path(&folder.path().to_string_lossy()).unwrap();
    let reader = ShuffleReaderExec::try_new(1, vec![vec![location]], schema, by).unwrap();
    (get_index_path(&data), writing(Arc::new(reader)))
}

#[tokio::test]
async fn a_task_fails_whose_results_are_deleted_while_it_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let written = run(writing(Numbers::plan(None)), &folder).await.unwrap();
    assert_eq!(written.iter().map(|partition| partition.num_rows).collect::<Vec<_>>(), [ROWS]);
    let folder = tempfile::tempdir().unwrap();
    let deletes = folder.path().join("job");
    let error = run(writing(Numbers::plan(Some(deletes))), &folder).await.unwrap_err();
    // Of the kind that Ballista repeats.
    assert!(matches!(error, DataFusionError::IoError(_)), "{error}");
    assert!(error.to_string().contains("results of a task were deleted while it wrote them"), "{error}");
}

#[tokio::test]
async fn a_task_fails_that_reads_a_sorted_shuffle_without_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let (index, reading) = sorted(&folder).await;
    let read = run(Arc::clone(&reading), &folder).await.unwrap();
    assert_eq!(read.iter().map(|partition| partition.num_rows).sum::<u64>(), ROWS);
    fs::remove_file(index).unwrap();
    let DataFusionError::External(error) = run(reading, &folder).await.unwrap_err() else { panic!() };
    let Some(BallistaError::FetchFailed(executor, 1, 0, _)) = error.downcast_ref() else { panic!("{error}") };
    assert_eq!(executor, "us");
}

#[tokio::test]
async fn a_sorted_shuffle_without_its_index_is_not_given_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let (index, _) = sorted(&folder).await;
    let wanted = Wanted::FetchPartition {
        job_id: "job".into(),
        stage_id: 1,
        partition_id: 0,
        host: String::new(),
        port: 0,
        file_id: Some(7),
        layout: ShuffleLayout::Sort,
        file_kind: ShuffleFileKind::Data,
        byte_ranges: vec![],
    };
    let wanted: protobuf::Action = wanted.try_into().unwrap();
    let wanted = wanted.encode_to_vec();
    let served = Served::new(folder.path());
    let ask = async || {
        let ticket = Request::new(Ticket { ticket: wanted.clone().into() });
        let action = Action { r#type: "IO_BLOCK_TRANSPORT".to_owned(), body: wanted.clone().into() };
        let block = served.do_action(Request::new(action)).await.err();
        (served.do_get(ticket).await.err(), block)
    };
    let (rows, block) = ask().await;
    assert!(rows.is_none() && block.is_none(), "{rows:?}, {block:?}");
    fs::remove_file(index).unwrap();
    let (Some(rows), Some(block)) = ask().await else { panic!("given") };
    for error in [rows, block] {
        assert!(error.message().ends_with("data.arrow.index: results were deleted"), "{error}");
    }
}
