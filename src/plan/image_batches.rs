//! Small batches wherever image bytes travel.
//!
//! DataFusion's operators hand over 8,192 rows at once, and filters and repartitioning join small batches until there are
//! as many. Of labels that is nothing; of photos it is gigabytes, and the models idle until the first such batch is
//! complete. In plans with images or inference, operators that carry bytes therefore work on a few rows at a time:
//!
//! ```text
//!  InferExec                             InferExec
//!    InferExchangeExec                     InferExchangeExec
//!      FilterExec, 8,192 rows        ──►     FilterExec, 32 rows
//!        RepartitionExec, 8,192 rows           DataSourceExec, 32 rows
//!          DataSourceExec, 8,192 rows
//! ```
//!
//! Dealing rows out to partitions is left to our exchange, which bounds what it holds: the one below inference, or one in
//! place of the `RepartitionExec` where functions of images are evaluated on several partitions. Operators without bytes,
//! the other side of a join for instance, stay as they are.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::planner::MORSEL_ROWS;
use crate::exec::InferExec;
use crate::exec::exchange::{InferExchangeExec, MorselRows};
use crate::images::scan::ImagesExec;
use crate::images::webdataset::WebDatasetExec;

/// Rows of a batch with image bytes: some morsels for every core of a large machine, and few megabytes of photos.
const IMAGE_BATCH_ROWS: usize = 32;

/// Physical rule, to run after DataFusion's own: bounds the batches with image bytes, in plans with images or inference.
#[derive(Debug, Default)]
pub struct ImageBatches {}

impl PhysicalOptimizerRule for ImageBatches {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let has_images = plan.exists(|plan| {
            Ok(plan.is::<InferExec>() || plan.is::<ImagesExec>() || plan.is::<WebDatasetExec>())
        })?;
        if has_images { Ok(shrink(plan, false)?.data) } else { Ok(plan) }
    }

    fn name(&self) -> &'static str {
        "image_batches"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same plan with small batches of images. Below inference nothing else deals rows out to partitions.
fn shrink(
    plan: Arc<dyn ExecutionPlan>,
    is_below_inference: bool,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let are_children = is_below_inference || plan.is::<InferExec>();
    let shrunk = plan.map_children(|child| shrink(child, are_children))?;
    if !has_bytes(&shrunk.data.schema()) {
        return Ok(shrunk);
    }
    let was_transformed = shrunk.transformed;
    let own = shrink_node(shrunk.data, is_below_inference)?;
    Ok(Transformed { transformed: own.transformed || was_transformed, ..own })
}

fn shrink_node(
    plan: Arc<dyn ExecutionPlan>,
    is_below_inference: bool,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return Ok(Transformed::yes(Arc::new(filter.with_batch_size(IMAGE_BATCH_ROWS)?)));
    }
    if let Some(repartition) = plan.downcast_ref::<RepartitionExec>() {
        let input = Arc::clone(repartition.input());
        return Ok(match repartition.partitioning() {
            Partitioning::RoundRobinBatch(_) if is_below_inference => Transformed::yes(input),
            // The exchange would lose an order that operators above may count on.
            Partitioning::RoundRobinBatch(partitions) if input.output_ordering().is_none() => {
                let rows = MorselRows { most: MORSEL_ROWS, least: 1 };
                Transformed::yes(Arc::new(InferExchangeExec::new(input, *partitions, rows)))
            }
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
    schema.fields().iter().any(|field| contains(field.data_type(), &is_bytes))
}

pub(super) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether values of `data_type` are of a type that `is_meant`, or are dictionaries or structs that have such values.
pub(super) fn contains(data_type: &DataType, is_meant: &impl Fn(&DataType) -> bool) -> bool {
    match data_type {
        meant if is_meant(meant) => true,
        DataType::Dictionary(_, values) => contains(values, is_meant),
        DataType::Struct(fields) => fields.iter().any(|field| contains(field.data_type(), is_meant)),
        _ => false,
    }
}
