//! The physical rule that puts a plan on the cluster.
//!
//! ```text
//!  DataSinkExec, writes here               DataSinkExec
//!    CoalescePartitionsExec       ──►        ClusterExec
//!      InferExec                               CoalescePartitionsExec
//!        FetchImagesExec                         InferExec
//!                                                  FetchImagesExec
//! ```
//!
//! The last stage has one task, which puts the results together.
//!
//! Plans that read no files stay here: settings, catalogs, tables in memory, VALUES.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use seequel_cluster::Client;

use super::exec::ClusterExec;
use super::leaves;
use crate::Error;
use crate::config::InferenceOptions;
use crate::images::scan::{FetchImagesExec, ListImagesExec};
use crate::images::webdataset::WebDatasetExec;

/// Runs plans that read files on the cluster, after all other rules.
#[derive(Debug)]
pub(super) struct RunOnCluster {
    client: Client,
}

impl RunOnCluster {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// `plan` with the part below what writes or measures on the cluster.
    fn place(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.is::<DataSinkExec>() || plan.is::<AnalyzeExec>() {
            return Ok(plan.map_children(|child| Ok(Transformed::yes(self.place(child)?)))?.data);
        }
        // Ballista's static planner keeps where the results of a last stage are when their executor is lost and they are
        // computed again (`output_locations` in its `state/execution_graph.rs`). Those of a stage of one task are there
        // once.
        let plan: Arc<dyn ExecutionPlan> = match plan.output_partitioning().partition_count() {
            1 => plan,
            _ => Arc::new(CoalescePartitionsExec::new(plan)),
        };
        let plan = leaves::with_metrics(plan)?.transform_up(|node| {
            let placed = node.downcast_ref::<ListImagesExec>().map(ListImagesExec::placed).transpose()?;
            Ok(placed.map_or_else(|| Transformed::no(node), Transformed::yes))
        })?;
        Ok(Arc::new(ClusterExec::try_new(self.client.clone(), plan.data)?))
    }
}

impl PhysicalOptimizerRule for RunOnCluster {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.exists(|plan| Ok(plan.is::<ClusterExec>()))? || !plan.exists(|plan| Ok(reads_files(plan)))? {
            return Ok(plan);
        }
        if plan.exists(|plan| Ok(plan.is::<WebDatasetExec>()))? {
            return Err(Error::not_on_cluster("reading tar files"));
        }
        if plan.exists(|plan| Ok(is_broken_join(plan)))? {
            return Err(Error::not_on_cluster(
                "this join (NOT IN, NOT EXISTS, an outer join without an equality, or one of a side that is limited)",
            ));
        }
        let InferenceOptions { max_errors, max_error_ratio, .. } = InferenceOptions::of(config);
        if max_errors.is_some() || max_error_ratio.is_some() {
            return Err(Error::not_on_cluster(
                "counting the failed rows of a query (inference.max_errors, inference.max_error_ratio)",
            ));
        }
        self.place(plan)
    }

    fn name(&self) -> &'static str {
        "run_on_cluster"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Joins that Ballista plans again so that rows are lost or repeated.
///
/// - A side that is limited is in one task, and so is its join. Ballista divides that by its keys, unless a side is known to
///   be small, and what is above it reads the first part alone: a sort of such a join gave no rows.
/// - Its tasks each have all of the left side of a join without keys, and each give the rows of it that have no match.
/// - Joins for rows without a match gave too few.
fn is_broken_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    use JoinType::{Full, Left, LeftAnti, LeftMark, LeftSemi, RightAnti, RightMark};
    let by_keys = plan.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let sorted = plan.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::join_type);
    let without_keys = plan.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    let gives_unmatched =
        matches!(by_keys.or(sorted).or(without_keys), Some(LeftAnti | RightAnti | LeftMark | RightMark));
    gives_unmatched
        || by_keys.is_some() && is_limited(plan)
        || matches!(without_keys, Some(Left | Full | LeftSemi))
}

/// Whether a limit is below `plan`.
fn is_limited(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // The closure never fails.
    plan.children().iter().any(|input| input.exists(|node| Ok(node.fetch().is_some())).unwrap_or(true))
}

fn reads_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_of_files = |scan: &DataSourceExec| scan.data_source().downcast_ref::<FileScanConfig>().is_some();
    plan.is::<FetchImagesExec>()
        || plan.is::<WebDatasetExec>()
        || plan.downcast_ref::<DataSourceExec>().is_some_and(is_of_files)
}
