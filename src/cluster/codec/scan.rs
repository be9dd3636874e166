//! The message of scans of images, by `ListImagesExec` and `FetchImagesExec`.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::project_schema;
use datafusion::error::Result;
use datafusion::object_store::path::Path as StorePath;
use seequel_cluster::datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};

use super::errors::undecodable;
use crate::cluster::task::messages::ImagesScan;
use crate::failures::QueryFailures;
use crate::images::listing::Location;
use crate::images::scan::{Scan, columns};

/// The message of `scan`, of a table with these partition columns.
pub(super) fn encode(
    scan: &Scan,
    partition_columns: &[String],
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<ImagesScan> {
    let Scan { location, folder, projection, filter, limit, .. } = scan;
    let filter = filter.as_ref().map(|filter| converter.physical_expr_to_proto(filter, codec));
    Ok(ImagesScan {
        written: location.to_string(),
        url: location.url().to_owned(),
        partition_columns: partition_columns.to_vec(),
        projection: sent(projection),
        limit: limit.map(|limit| limit as u64),
        patterns: location.patterns().map(ToOwned::to_owned).collect(),
        files: location.files().unwrap_or_default().iter().map(ToString::to_string).collect(),
        folder: folder.as_ref().map(ToString::to_string),
        filter: filter.transpose()?,
        finished: None,
    })
}

/// The scan of a message, and the partition columns of its table.
pub(super) fn decode(
    message: ImagesScan,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<(Scan, Vec<String>)> {
    let ImagesScan {
        written,
        url,
        partition_columns,
        projection,
        limit,
        patterns,
        files,
        folder,
        filter,
        ..
    } = message;
    let table = columns::table_schema(&partition_columns);
    let (projection, schema) = projected(projection, &table)?;
    let filter_columns = columns::listing_columns(&table);
    let filter_schema = project_schema(&table, Some(&filter_columns))?;
    let filter = filter.map(|filter| converter.proto_to_physical_expr(&filter, &filter_schema, context));
    let scan = Scan {
        location: Location::sent(written, &url, &patterns, &files).map_err(undecodable)?,
        folder: folder.map(StorePath::parse).transpose().map_err(undecodable)?,
        schema,
        projection,
        filter: filter.transpose()?,
        filter_columns,
        filter_schema,
        skip: None,
        limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        failures: QueryFailures::of(context.task_ctx().session_config().options()),
    };
    Ok((scan, partition_columns))
}

/// A table has no more columns than memory has bytes, and no user names four billion.
pub(super) fn sent(projection: &[usize]) -> Vec<u32> {
    projection.iter().map(|column| u32::try_from(*column).unwrap_or(u32::MAX)).collect()
}

/// The columns of `table` that a message names, and their schema.
pub(super) fn projected(sent: Vec<u32>, table: &SchemaRef) -> Result<(Vec<usize>, SchemaRef)> {
    let projection: Vec<_> = sent.into_iter().map(|column| column as usize).collect();
    if projection.iter().any(|column| *column >= table.fields().len()) {
        return Err(undecodable(format!("no column {projection:?} of {} columns", table.fields().len())));
    }
    let schema = project_schema(table, Some(&projection))?;
    Ok((projection, schema))
}
