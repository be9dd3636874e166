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

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::analyze::AnalyzeExec;
use seequel_cluster::Client;

use super::attach::AttachExec;
use super::exec::ClusterExec;
use super::task_failures::TaskFailures;
use super::{dealt, joins, leaves};
use crate::Error;
use crate::images::scan::FetchImagesExec;
use crate::images::webdataset::FetchShardsExec;

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
    fn place(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.is::<DataSinkExec>() || plan.is::<AnalyzeExec>() {
            return Ok(plan.map_children(|child| Ok(Transformed::yes(self.place(child, config)?)))?.data);
        }
        let plan = joins::for_tasks(plan, config)?;
        let plan = dealt::in_stages(leaves::with_metrics(plan)?)?;
        Ok(Arc::new(ClusterExec::try_new(self.client.clone(), plan, TaskFailures::of(config))?))
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
        if plan.exists(|plan| Ok(plan.is::<AttachExec>()))? {
            let reason = "a query of the rows of an attached job and of files would run on the cluster, which can't read the \
                          former; COPY the job to a file first";
            return Err(Error::Cluster(reason.to_owned()).into());
        }
        self.place(plan, config)
    }

    fn name(&self) -> &'static str {
        "run_on_cluster"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn reads_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_of_files = |scan: &DataSourceExec| scan.data_source().downcast_ref::<FileScanConfig>().is_some();
    plan.is::<FetchImagesExec>()
        || plan.is::<FetchShardsExec>()
        || plan.downcast_ref::<DataSourceExec>().is_some_and(is_of_files)
}
