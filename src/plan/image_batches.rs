//! Small batches wherever image bytes travel.
//!
//! DataFusion's operators hand over 8,192 rows at once, and filters and repartitioning join small batches until there are
//! as many. Of labels that is nothing; of photos it is gigabytes, and the models idle until the first such batch is
//! complete. Below inference, operators that carry image bytes therefore work on a few rows at a time:
//!
//! ```text
//!  InferExec                             InferExec
//!    InferExchangeExec                     InferExchangeExec
//!      FilterExec, 8,192 rows        ──►     FilterExec, 32 rows
//!        RepartitionExec, 8,192 rows           DataSourceExec, 32 rows
//!          DataSourceExec, 8,192 rows
//! ```
//!
//! Dealing rows out to partitions is left to the exchange, which bounds what it holds. Operators without image bytes, the
//! other side of a join for instance, stay as they are.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use crate::exec::InferExec;

/// Rows of a batch with image bytes: some morsels for every core of a large machine, and few megabytes of photos.
const IMAGE_BATCH_ROWS: usize = 32;

/// Physical rule, to run after DataFusion's own: bounds the batches with image bytes below inference.
#[derive(Debug, Default)]
pub struct ImageBatches {}

impl PhysicalOptimizerRule for ImageBatches {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|plan| {
            if plan.is::<InferExec>() { below_inference(plan) } else { Ok(Transformed::no(plan)) }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "image_batches"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same plan with small batches of images; inference further down is part of it.
fn below_inference(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut plan = plan.transform_up(shrink)?;
    plan.tnr = datafusion::common::tree_node::TreeNodeRecursion::Jump;
    Ok(plan)
}

fn shrink(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if !has_bytes(&plan.schema()) {
        return Ok(Transformed::no(plan));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return Ok(Transformed::yes(Arc::new(filter.with_batch_size(IMAGE_BATCH_ROWS)?)));
    }
    if let Some(repartition) = plan.downcast_ref::<RepartitionExec>() {
        return Ok(match repartition.partitioning() {
            Partitioning::RoundRobinBatch(_) => Transformed::yes(Arc::clone(repartition.input())),
            _ => Transformed::no(plan),
        });
    }
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>()
        && let Some(files) = scan.data_source().downcast_ref::<FileScanConfig>()
    {
        let files =
            FileScanConfigBuilder::from(files.clone()).with_batch_size(Some(IMAGE_BATCH_ROWS)).build();
        return Ok(Transformed::yes(DataSourceExec::from_data_source(files)));
    }
    Ok(Transformed::no(plan))
}

/// Whether rows may hold the bytes of files, if only within a struct.
fn has_bytes(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| is_bytes(field.data_type()))
}

fn is_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, values) => is_bytes(values),
        DataType::Struct(fields) => fields.iter().any(|field| is_bytes(field.data_type())),
        _ => false,
    }
}
