//! The operator by which the tasks of a cluster write the parts of a statement.
//!
//! ```text
//!  client: PartsSink ─ lock, Start ─► run, finished keys ─► ClusterExec: the plan of what is left
//!             ▲                                                │
//!             │ rows of WritePartsExec, one a task             ▼
//!             │                       executor: WritePartsExec ─ rows ─► part, hidden ─► in place ─► Commit
//!             └─ End, once no task runs; the log tells what was written
//! ```
//!
//! A Commit names the task. Who appends one has read all entries before it: if the task's rows are there already, by a
//! process that was thought to be lost or that does the same work, it removes its own files and counts nothing. After the
//! Start of another run or the End of its own a task appends no more.

use std::fmt;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{assert_eq_or_internal_err, internal_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};
use futures::stream;
use seequel_cluster::TaskPartitions;

use super::failed::FailedRows;
use super::task_folder::TaskFolder;
use super::task_logs::TaskLogs;
use super::task_parts::TaskParts;
use super::task_rows::{TaskRows, begun};
use crate::Error;
use crate::failures::QueryFailures;
use crate::resume::Skip;
use crate::write::files::{Discarded, SinkMetrics, one_file, with_store};

/// What comes of a task: the number of its rows.
static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("rows", DataType::UInt64, false)])));

/// Writes the rows of each partition as a part, and commits it. Gives the number of its rows.
#[derive(Debug)]
pub(crate) struct WritePartsExec {
    input: Arc<dyn ExecutionPlan>,
    parts: TaskParts,
    role: Role,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Debug, Clone)]
enum Role {
    /// Plans, and names the keys that are finished.
    Client(Skip),
    /// Divides the plan.
    Scheduler,
    /// Writes.
    Executor { logs: Arc<TaskLogs>, failures: QueryFailures },
}

impl WritePartsExec {
    /// The operator in a client, whose scan leaves out what `skip` knows.
    pub(in crate::write) fn of_client(input: Arc<dyn ExecutionPlan>, parts: TaskParts, skip: Skip) -> Self {
        Self::new(input, parts, Role::Client(skip))
    }

    /// The operator in a scheduler, which does not write.
    pub(crate) fn of_scheduler(input: Arc<dyn ExecutionPlan>, parts: TaskParts) -> Self {
        Self::new(input, parts, Role::Scheduler)
    }

    /// The operator in an executor, of an `input` whose operators report to `failures`.
    pub(crate) fn of_executor(
        input: Arc<dyn ExecutionPlan>,
        parts: TaskParts,
        logs: Arc<TaskLogs>,
        failures: QueryFailures,
    ) -> Self {
        Self::new(input, parts, Role::Executor { logs, failures })
    }

    fn new(input: Arc<dyn ExecutionPlan>, parts: TaskParts, role: Role) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&SCHEMA)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            input.boundedness(),
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, parts, role, properties, metrics }
    }

    /// The columns of its rows.
    pub(in crate::write) fn written() -> &'static SchemaRef {
        &SCHEMA
    }

    pub(crate) fn parts(&self) -> &TaskParts {
        &self.parts
    }

    /// What the client's scan leaves out.
    pub(crate) fn skip(&self) -> Option<&Skip> {
        match &self.role {
            Role::Client(skip) => Some(skip),
            _ => None,
        }
    }
}

/// A task that writes its rows.
struct Writing {
    parts: TaskParts,
    logs: Arc<TaskLogs>,
    failures: QueryFailures,
    metrics: SinkMetrics,
}

impl Writing {
    /// Writes the rows of `input`, and returns how many.
    async fn run(
        self,
        input: Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<u64> {
        let partitions = context.session_config().get_extension::<TaskPartitions>();
        let task = partitions.and_then(|partitions| partitions.0.get(partition).copied());
        let task = task.ok_or_else(|| internal_datafusion_err!("a task does not know its partition"))?;
        let Self { parts, logs, failures, metrics } = self;
        let run = parts.run().unwrap_or_default();
        let store = context.runtime_env().object_store(parts.target.url())?;
        let folder = TaskFolder::open(parts.target, store, &logs, run, task as u64).await?;
        if let Some(rows) = folder.committed().await? {
            return Ok(rows);
        }
        let failed = Arc::new(FailedRows::default());
        failures.tell(Arc::clone(&failed) as _);
        let memory = MemoryConsumer::new("Resume").register(context.memory_pool());
        let noted = Arc::new(TaskRows::new(parts.positions, failed, memory));
        let rows = noted.note(metrics.measure(input.execute(partition, Arc::clone(&context))?));
        let Some(rows) = begun(rows).await? else {
            let (finished, others) = noted.finished();
            return match finished.hashes.is_empty() && others.is_empty() {
                true => Ok(0),
                false => folder.commit(None, 0, 0, (&finished, &others)).await,
            };
        };
        let staged = folder.stage(metrics.stored_bytes.clone()).await?;
        let _discarded = Discarded(Arc::clone(&staged));
        let to_staged = with_store(&context, &folder.target, Arc::clone(&staged) as Arc<dyn ObjectStore>);
        let written = match parts.writer.sink().write_all(rows, &one_file(&to_staged)?).await {
            Ok(written) => written,
            Err(error) => return Err(staged.fail(error).await),
        };
        metrics.end();
        let (finished, others) = noted.finished();
        let bytes = metrics.stored_bytes.value() as u64;
        folder.commit(Some(&staged), written, bytes, (&finished, &others)).await
    }
}

/// An error of ours as its message, as others would send its debug output.
fn as_text(error: DataFusionError) -> DataFusionError {
    match error.find_root() {
        DataFusionError::External(ours) if ours.is::<Error>() => DataFusionError::Execution(ours.to_string()),
        _ => error,
    }
}

impl DisplayAs for WritePartsExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (written, _) = self.parts.location();
        match format {
            DisplayFormatType::TreeRender => writeln!(f, "to={written}"),
            _ => {
                write!(f, "WritePartsExec: to={written}, resume=[{}]", self.parts.key().columns().join(", "))
            }
        }
    }
}

impl ExecutionPlan for WritePartsExec {
    fn name(&self) -> &'static str {
        "WritePartsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_eq_or_internal_err!(children.len(), 1, "WritePartsExec has one input");
        Ok(Arc::new(Self::new(children.swap_remove(0), self.parts.clone(), self.role.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Role::Executor { logs, failures } = &self.role else {
            return Err(internal_datafusion_err!("only an executor writes"));
        };
        let writing = Writing {
            parts: self.parts.clone(),
            logs: Arc::clone(logs),
            failures: failures.clone(),
            metrics: SinkMetrics::new(&self.metrics),
        };
        let written = writing.run(Arc::clone(&self.input), partition, context);
        let batch = stream::once(async move {
            let rows = written.await.map_err(as_text)?;
            Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), vec![Arc::new(UInt64Array::from(vec![rows]))])?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&SCHEMA), batch)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
