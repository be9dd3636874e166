//! The files that a task writes, and those that it reads here.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ballista_core::error::BallistaError;
use ballista_core::execution_plans::sort_shuffle::get_index_path;
use ballista_core::execution_plans::{ShuffleReaderExec, SortShuffleWriterExec};
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_core::serde::scheduler::PartitionLocation;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

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
