//! The optimizer rule that bounds the memory for writing Parquet with large rows.
//!
//! A row group is written when it is complete, and read as a whole. DataFusion completes one after a million rows,
//! which is little for labels, five gigabytes for embeddings and a hundred for images. `COPY` of bytes therefore closes
//! row groups by size, as does `COPY` of lists from models. DataFusion's writer that encodes columns in parallel
//! ignores sizes, so the other one is used; models take longer than either.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::image_batches::{contains, is_bytes};
use super::node::as_infer;

/// Encoded bytes of a row group: some hundred images, enough to read at disk speed, and far below a session's memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

const BYTES: &str = "max_row_group_bytes";
const ROWS: &str = "max_row_group_size";
const PARALLEL: &str = "allow_single_file_parallelism";

/// Closes row groups by size in `COPY` of large rows, unless options or settings define their size.
#[derive(Debug, Default)]
pub struct RowGroups {}

impl OptimizerRule for RowGroups {
    fn name(&self) -> &'static str {
        "row_groups"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let session = config.options();
        plan.transform_down(|node| match node {
            LogicalPlan::Copy(copy) if is_unbounded(&copy, &session) => {
                Ok(Transformed::yes(LogicalPlan::Copy(bounded(copy))))
            }
            node => Ok(Transformed::no(node)),
        })
    }
}

/// Whether row groups of large rows have no size limit, and neither options nor settings define one.
fn is_unbounded(copy: &CopyTo, session: &ConfigOptions) -> bool {
    let is_given = |option: &str| copy.options.keys().any(|key| key.ends_with(option));
    let parquet = &session.execution.parquet;
    let default = ConfigOptions::default().execution.parquet;
    let is_set =
        parquet.max_row_group_bytes.is_some() || parquet.max_row_group_size != default.max_row_group_size;
    copy.file_type.get_ext() == "parquet"
        && has_large_values(copy.input.schema().as_arrow(), infers(&copy.input))
        && !is_set
        && ![BYTES, ROWS, PARALLEL].into_iter().any(is_given)
}

fn bounded(mut copy: CopyTo) -> CopyTo {
    let added = [(BYTES, ROW_GROUP_BYTES.to_string()), (PARALLEL, false.to_string())];
    copy.options.extend(added.map(|(option, value)| (format!("format.{option}"), value)));
    copy
}

fn infers(plan: &LogicalPlan) -> bool {
    // The closure never fails.
    plan.exists(|node| Ok(as_infer(node).is_some())).unwrap_or(false)
}

/// Whether values may take kilobytes: bytes, and lists if these come from a model; also within structs.
fn has_large_values(schema: &Schema, are_lists_large: bool) -> bool {
    let is_large = |data_type: &DataType| is_bytes(data_type) || are_lists_large && data_type.is_list();
    schema.fields().iter().any(|field| contains(field.data_type(), &is_large))
}
