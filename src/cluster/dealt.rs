//! Plans whose files are dealt out: when they are made, and again when a statement that continues has begun.

use std::sync::Arc;

use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::images::scan::{Dealing, FetchImagesExec, ListImagesExec, Scan};
use crate::write::WritePartsExec;

/// `plan` with a last stage of one task, and with listings in stages of their own.
///
/// # Errors
/// None in practice.
pub(super) fn in_stages(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    // Ballista's static planner keeps where the results of a last stage are when their executor is lost and they are
    // computed again (`output_locations` in its `state/execution_graph.rs`). Those of a stage of one task are there
    // once.
    let plan: Arc<dyn ExecutionPlan> = match plan.output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    };
    let placed = plan.transform_up(|node| {
        let placed = node.downcast_ref::<ListImagesExec>().map(ListImagesExec::placed).transpose()?;
        Ok(placed.map_or_else(|| Transformed::no(node), Transformed::yes))
    })?;
    Ok(placed.data)
}

/// The input of `node` that is a stage of its own on a cluster.
pub(super) fn ends_stage(node: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    let is_exchange = node.is::<CoalescePartitionsExec>()
        || node.is::<SortPreservingMergeExec>()
        || node.is::<RepartitionExec>();
    is_exchange.then(|| node.children().first().copied()).flatten()
}

/// Whether tasks of the plan write parts of a statement that continues, whose files are known once that has begun.
///
/// # Errors
/// None.
pub(super) fn writes_parts(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    plan.exists(|node| Ok(node.is::<WritePartsExec>()))
}

/// The plan of the files that are not finished, once its sink has begun.
///
/// # Errors
/// Those of the listing; a bug: a plan without files.
pub(super) async fn without_finished(
    plan: Arc<dyn ExecutionPlan>,
    context: &TaskContext,
) -> Result<Arc<dyn ExecutionPlan>> {
    let (mut parts, mut scanned) = (None, None);
    plan.apply(|node| {
        if let Some(write) = node.downcast_ref::<WritePartsExec>() {
            parts = Some((write.skip().cloned(), write.parts().clone()));
        } else if let Some(fetch) = node.downcast_ref::<FetchImagesExec>() {
            scanned = Some((fetch.scan().clone(), fetch.partition_columns().to_vec()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let (Some((skip, parts)), Some((scan, partition_columns))) = (parts, scanned) else {
        return internal_err!("a plan that writes parts reads no images");
    };
    let scan = Scan { skip, ..scan };
    let dealing = Dealing { to_one: false, most_files: parts.commit_rows, is_later: false };
    let dealt = dealing.deal(scan, &partition_columns, context).await?;
    // A task that lists reads the log itself.
    let finished = parts.finished();
    let dealt = dealt.transform_up(|node| match (node.downcast_ref::<ListImagesExec>(), &finished) {
        (Some(list), Some(keys)) => Ok(Transformed::yes(Arc::new(list.skipping(keys.clone())) as _)),
        _ => Ok(Transformed::no(node)),
    })?;
    let again = plan.transform_up(|node| match node.is::<FetchImagesExec>() {
        true => Ok(Transformed::yes(Arc::clone(&dealt.data))),
        false => Ok(Transformed::no(node)),
    })?;
    in_stages(again.data)
}
