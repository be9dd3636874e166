//! Whether the files that tasks write and read are all there.
//!
//! Something may delete files of an executor that goes on, such as a program that tidies up `TMPDIR`. Ballista fails where
//! it opens a file that is missing, and repeats the task. It does not notice
//! - a file that is deleted before the task that writes it ends: its size is then 0, and a result of no bytes is left out,
//!   as that of a task with no rows,
//! - the index of a sorted shuffle: without one, the data are read as another kind of file, up to the end of their first
//!   part, which is empty.
//!
//! So the partitions that a task has written are counted here, and an index has to be there after it was needed.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use ballista_core::error::BallistaError;
use ballista_core::execution_plans::sort_shuffle::get_index_path;
use ballista_core::execution_plans::{ShuffleReaderExec, SortShuffleWriterExec, create_shuffle_path};
use ballista_core::serde::decode_protobuf;
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_core::serde::scheduler::{Action as Wanted, PartitionLocation, ShuffleLayout};
use ballista_executor::flight_service::BallistaFlightService;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// The files of one task.
#[derive(Debug)]
pub(crate) struct Files {
    /// How many it writes, if that does not depend on its rows.
    written: Option<usize>,
    /// What it reads from the executor's own disk of sorted shuffles.
    read: Vec<PartitionLocation>,
    folder: PathBuf,
}

impl Files {
    /// Those of a stage's plan in the executor's folder.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>, folder: &Path) -> Result<Self> {
        // A sorted shuffle has one file for all partitions, and leaves out those without rows.
        let is_sorted = plan.downcast_ref::<SortShuffleWriterExec>().is_some();
        let partitions = plan.children().first().map(|input| input.output_partitioning().partition_count());
        let mut read = vec![];
        plan.apply(|node| {
            if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
                let sorted = reader.partition.iter().flatten().filter(|location| location.is_sort_shuffle);
                read.extend(sorted.filter(|location| is_here(location, folder)).cloned());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self { written: partitions.filter(|_| !is_sorted), read, folder: folder.to_owned() })
    }

    /// Checks them after the task has ended, which has written `written`.
    ///
    /// # Errors
    /// Files that are missing: those written as an error of the disk, after which Ballista repeats the task, and those read
    /// as one that lets it repeat the tasks that wrote them.
    pub(crate) fn check(&self, written: &[ShuffleWritePartition]) -> Result<()> {
        if self.written.is_some_and(|partitions| written.len() < partitions) {
            let reason = "results of a task were deleted while it wrote them";
            return Err(DataFusionError::IoError(IoError::new(ErrorKind::NotFound, reason)));
        }
        let Some(lost) = self.read.iter().find(|location| !has_index(location, &self.folder)) else {
            return Ok(());
        };
        let partition = &lost.partition_id;
        let reason = "results were deleted while another task read them".to_owned();
        let executor = lost.executor_meta.id.clone();
        let failed = BallistaError::FetchFailed(executor, partition.stage_id, partition.partition_id, reason);
        Err(DataFusionError::External(Box::new(failed)))
    }
}

fn is_here(location: &PartitionLocation, folder: &Path) -> bool {
    location.path(&folder.to_string_lossy()).is_ok_and(|path| path.exists())
}

fn has_index(location: &PartitionLocation, folder: &Path) -> bool {
    location.path(&folder.to_string_lossy()).is_ok_and(|path| path.exists() && get_index_path(&path).exists())
}

/// Ballista's service that gives the files to clients and other executors, without those that lack their index.
pub(crate) struct Served {
    inner: BallistaFlightService,
    folder: PathBuf,
}

impl Served {
    /// Gives the files in an executor's folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let inner = BallistaFlightService::new(folder.to_string_lossy().into_owned());
        Self { inner, folder: folder.to_owned() }
    }

    /// Checks that the file that `wanted` was opened for, Ballista's encoded request, still has its index.
    fn check(&self, wanted: &[u8]) -> Result<(), Status> {
        let wanted = decode_protobuf(wanted).map_err(|error| Status::internal(error.to_string()))?;
        let Wanted::FetchPartition { job_id, stage_id, partition_id, file_id, layout, .. } = wanted;
        if layout != ShuffleLayout::Sort {
            return Ok(());
        }
        let data = create_shuffle_path(&self.folder, &job_id, stage_id, partition_id, file_id, true);
        let data = data.map_err(|error| Status::internal(error.to_string()))?;
        let index = get_index_path(&data);
        if index.exists() {
            return Ok(());
        }
        Err(Status::internal(format!("{}: results were deleted", index.display())))
    }
}

type Answered<T> = Result<Response<T>, Status>;

fn unused<T>() -> Answered<T> {
    Err(Status::unimplemented("executors only give results"))
}

#[tonic::async_trait]
impl FlightService for Served {
    type DoActionStream = <BallistaFlightService as FlightService>::DoActionStream;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoGetStream = <BallistaFlightService as FlightService>::DoGetStream;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;

    async fn do_get(&self, request: Request<Ticket>) -> Answered<Self::DoGetStream> {
        let wanted = request.get_ref().ticket.clone();
        let opened = self.inner.do_get(request).await?;
        self.check(&wanted)?;
        Ok(opened)
    }

    async fn do_action(&self, request: Request<Action>) -> Answered<Self::DoActionStream> {
        let wanted = request.get_ref().body.clone();
        let opened = self.inner.do_action(request).await?;
        self.check(&wanted)?;
        Ok(opened)
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answered<Self::HandshakeStream> {
        unused()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answered<Self::ListFlightsStream> {
        unused()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<FlightInfo> {
        unused()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<PollInfo> {
        unused()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answered<SchemaResult> {
        unused()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoPutStream> {
        unused()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoExchangeStream> {
        unused()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answered<Self::ListActionsStream> {
        unused()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow_flight::flight_service_server::FlightService;
    use ballista_core::execution_plans::ShuffleWriterExec;
    use ballista_core::execution_plans::sort_shuffle::SortShuffleConfig;
    use ballista_core::serde::protobuf;
    use ballista_core::serde::scheduler::{
        ExecutorMetadata, ExecutorOperatingSystemSpecification, ExecutorSpecification, PartitionId,
        PartitionStats, ShuffleFileKind,
    };
    use ballista_executor::execution_engine::ExecutionEngine;
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::arrow::datatypes::SchemaRef;
    use datafusion::arrow::record_batch::RecordBatch;
    use datafusion::execution::{SendableRecordBatchStream, TaskContext};
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_plan::Partitioning;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
    use datafusion::prelude::SessionConfig;
    use futures::stream;
    use prost::Message;
    use tempfile::TempDir;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::disk::Disk;
    use crate::tasks::{Engine, Jobs};

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
        let Some(BallistaError::FetchFailed(executor, 1, 0, _)) = error.downcast_ref() else {
            panic!("{error}")
        };
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
}
