//! Plans the sink of a resumable COPY, and tells its scan what to leave out.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::physical_plan::{FileOutputMode, FileSinkConfig};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use super::option::Resumable;
use super::sink::PartsSink;
#[cfg(feature = "cluster")]
use super::task::WritePartsExec;
#[cfg(feature = "cluster")]
use super::task_parts::TaskParts;
use crate::exec::InferExec;
use crate::failures::QueryFailures;
#[cfg(feature = "cluster")]
use crate::images::scan::FetchImagesExec;
use crate::images::scan::ImagesExec;
use crate::resume::Skip;
use crate::write::failed::{ErrorsOption, position_of, with_named_rows};
use crate::write::files::{Target, unwritable};

/// The operator that writes the rows of `input` that are not in the folder yet, in the files of `format`.
///
/// # Errors
/// A target that is no folder, columns that the format can't hold, and those of the format.
pub(in crate::write) async fn writer(
    format: &Arc<dyn FileFormat>,
    input: Arc<dyn ExecutionPlan>,
    session: &dyn Session,
    mut config: FileSinkConfig,
    order: Option<LexRequirement>,
    resumable: &Resumable,
    errors: Option<&ErrorsOption>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let extension = format.get_ext();
    let target = Target::of_parts(&config, extension.clone())?;
    if let Some((column, reason)) = unwritable(&extension, &config.output_schema) {
        return Err(target.refused(format!("{extension} can't hold the column '{column}': {reason}")));
    }
    config.file_output_mode = FileOutputMode::Directory;
    let (begin, skip) = Skip::pair(resumable.key);
    let on_cluster = is_on_cluster(&input)?;
    let input = if on_cluster { input } else { told(input, &skip)? };
    let writer = format.create_writer_physical_plan(input, session, config, order).await?;
    let Some(sink) = writer.downcast_ref::<DataSinkExec>().cloned() else { return Ok(writer) };
    let (input, order) = (Arc::clone(sink.input()), sink.sort_order().clone());
    #[cfg(feature = "cluster")]
    let (input, order, tasks) = if on_cluster {
        let Resumable { positions, commit_rows, .. } = resumable;
        let tasks = TaskParts::new(sink.clone(), target.clone(), positions.clone(), *commit_rows);
        (Arc::new(WritePartsExec::of_client(input, tasks.clone(), skip)) as _, None, Some(tasks))
    } else {
        (input, order, None)
    };
    let sink = PartsSink {
        writer: sink,
        target,
        resumable: resumable.clone(),
        begin,
        failures: QueryFailures::of(session.config_options()),
        errors: errors.map(ErrorsOption::of_parts).transpose()?,
        #[cfg(feature = "cluster")]
        tasks,
        metrics: ExecutionPlanMetricsSet::new(),
    };
    Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)))
}

/// Whether tasks of a cluster read the images.
fn is_on_cluster(_input: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    #[cfg(feature = "cluster")]
    return _input.exists(|node| Ok(node.is::<FetchImagesExec>()));
    #[cfg(not(feature = "cluster"))]
    Ok(false)
}

/// The plan whose operators know what is finished, and tell of the rows that fail.
fn told(input: Arc<dyn ExecutionPlan>, skip: &Skip) -> Result<Arc<dyn ExecutionPlan>> {
    let told = with_named_rows(input, None)?.transform_up(|node| {
        if let Some(scan) = node.downcast_ref::<ImagesExec>() {
            return Ok(Transformed::yes(Arc::new(scan.skipping(skip.clone())) as _));
        }
        let Some(infer) = node.downcast_ref::<InferExec>() else { return Ok(Transformed::no(node)) };
        let columns = skip.key().columns().iter().map(|name| position_of(&infer.input, name));
        match columns.collect() {
            Some(key) => Ok(Transformed::yes(Arc::new(infer.clone().telling(key)) as _)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(told.data)
}
