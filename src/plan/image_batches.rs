//! Limits the size of batches with image bytes or other large values.
//!
//! DataFusion's operators emit batches of 8,192 rows, and filters and repartitioning join small batches up to that
//! size. For labels that is little; for images it is gigabytes, and the models idle until the first such batch is
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
//! Long and nested lists count as bytes: `predict` returns maps of megabytes.
//!
//! Rows are distributed to partitions by our exchange, which bounds its memory: the one below inference, or one that
//! replaces the `RepartitionExec` where image functions are evaluated on several partitions. Operators without bytes,
//! such as the other side of a join, are unchanged.

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
#[cfg(feature = "cluster")]
use crate::images::scan::FetchImagesExec;
use crate::images::scan::ImagesExec;
#[cfg(feature = "cluster")]
use crate::images::webdataset::FetchShardsExec;
use crate::images::webdataset::WebDatasetExec;

/// Rows of a batch with image bytes: some morsels for every core of a large machine, and only a few megabytes.
const IMAGE_BATCH_ROWS: usize = 32;

/// Numbers of a list that take as much memory as an encoded image.
const LONG_LIST: i32 = 1 << 14;

/// Physical rule, run after DataFusion's own: bounds batches with image bytes in plans with images or inference.
#[derive(Debug, Default)]
pub struct ImageBatches {}

impl PhysicalOptimizerRule for ImageBatches {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let has_images = plan.exists(|plan| {
            Ok(plan.is::<InferExec>() || plan.is::<WebDatasetExec>() || scans_images(plan.as_ref()))
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

fn scans_images(plan: &dyn ExecutionPlan) -> bool {
    #[cfg(feature = "cluster")]
    if plan.is::<FetchImagesExec>() || plan.is::<FetchShardsExec>() {
        return true;
    }
    plan.is::<ImagesExec>()
}

/// The plan with small batches of images. Below inference, round-robin repartitioning is removed.
fn shrink(
    plan: Arc<dyn ExecutionPlan>,
    is_below_inference: bool,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let are_children = is_below_inference || plan.is::<InferExec>();
    let shrunk = plan.map_children(|child| shrink(child, are_children))?;
    if !has_large_values(&shrunk.data.schema()) {
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
            // The exchange would lose an order that operators above may require.
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

/// Whether rows may contain binary values or large lists, including within structs.
fn has_large_values(schema: &Schema) -> bool {
    let is_large = |data_type: &DataType| is_bytes(data_type) || is_large_list(data_type);
    schema.fields().iter().any(|field| contains(field.data_type(), &is_large))
}

/// Whether values are long lists of numbers, or lists of such lists.
fn is_large_list(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, length) => *length >= LONG_LIST || item.data_type().is_list(),
        DataType::List(item) | DataType::LargeList(item) => item.data_type().is_list(),
        _ => false,
    }
}

pub(crate) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether `data_type` satisfies `predicate`, or is a dictionary or struct with values of such a type.
pub(crate) fn contains(data_type: &DataType, predicate: &impl Fn(&DataType) -> bool) -> bool {
    match data_type {
        data_type if predicate(data_type) => true,
        DataType::Dictionary(_, values) => contains(values, predicate),
        DataType::Struct(fields) => fields.iter().any(|field| contains(field.data_type(), predicate)),
        _ => false,
    }
}
