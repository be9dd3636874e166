//! The message of `FetchImagesExec`.

use std::sync::Arc;

use datafusion::common::project_schema;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use super::undecodable;
use crate::cluster::task::messages::Fetch;
use crate::failures::QueryFailures;
use crate::images::listing::Location;
use crate::images::scan::{FetchImagesExec, Scan, columns};

pub(super) fn encode(fetch: &FetchImagesExec) -> Fetch {
    let Scan { location, projection, limit, .. } = fetch.scan();
    Fetch {
        written: location.to_string(),
        url: location.url().to_owned(),
        partition_columns: fetch.partition_columns().to_vec(),
        // A table has no more columns than memory has bytes, and no user names four billion.
        projection: projection.iter().map(|column| u32::try_from(*column).unwrap_or(u32::MAX)).collect(),
        limit: limit.map(|limit| limit as u64),
    }
}

pub(super) fn decode(message: Fetch, input: Arc<dyn ExecutionPlan>) -> Result<FetchImagesExec> {
    let Fetch { written, url, partition_columns, projection, limit } = message;
    let location = Location::sent(written, &url).map_err(undecodable)?;
    let projection: Vec<_> = projection.into_iter().map(|column| column as usize).collect();
    let table = columns::table_schema(&partition_columns);
    if projection.iter().any(|column| *column >= table.fields().len()) {
        return Err(undecodable(format!("no column {projection:?} of {} columns", table.fields().len())));
    }
    let schema = project_schema(&table, Some(&projection))?;
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let scan = Scan {
        location,
        folder: None,
        projection,
        filter_schema: Arc::clone(&schema),
        schema,
        filter_columns: vec![],
        filter: None,
        skip: None,
        limit,
        failures: QueryFailures::default(),
    };
    Ok(FetchImagesExec::new(input, scan, partition_columns))
}
