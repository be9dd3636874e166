//! Leaves that have metrics in every task.
//!
//! The scheduler refuses the end of a task whose operators have fewer or more metrics than those of another, and its query
//! then never ends (`update_task_metrics` in its `state/execution_stage.rs`). A row without a file, as in `UNION ALL SELECT 1`,
//! has none in the task that has it; in others the scheduler puts a table in memory in its place, which has. So it is one here.

use std::sync::Arc;

use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// `plan` with tables in memory for leaves of one row and of none.
///
/// # Errors
/// None in practice: the batches match the schema.
pub(super) fn with_metrics(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan.transform_up(leaf_with_metrics)?.data)
}

fn leaf_with_metrics(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let schema = plan.schema();
    let batches = if plan.is::<EmptyExec>() {
        vec![]
    } else if plan.is::<PlaceholderRowExec>() && schema.fields().is_empty() {
        let row = RecordBatchOptions::new().with_row_count(Some(1));
        vec![RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &row)?]
    } else {
        return Ok(Transformed::no(plan));
    };
    let partitions = vec![batches; plan.output_partitioning().partition_count()];
    let rows = MemorySourceConfig::try_new(&partitions, schema, None)?;
    Ok(Transformed::yes(DataSourceExec::from_data_source(rows)))
}
