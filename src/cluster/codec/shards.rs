//! The message of `FetchShardsExec`.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use seequel_cluster::datafusion_proto::physical_plan::PhysicalPlanDecodeContext;

use super::errors::undecodable;
use super::scan::{projected, sent};
use crate::cluster::task::messages::Shards;
use crate::failures::QueryFailures;
use crate::images::listing::Location;
use crate::images::webdataset::{FetchShardsExec, ShardScan, table_schema};

pub(super) fn encode(fetch: &FetchShardsExec) -> Shards {
    let ShardScan { location, projection, limit, .. } = fetch.scan();
    Shards {
        written: location.to_string(),
        url: location.url().to_owned(),
        projection: sent(projection),
        limit: limit.map(|limit| limit as u64),
    }
}

/// The shards are those of `input`, whatever the location is.
pub(super) fn decode(
    message: Shards,
    input: Arc<dyn ExecutionPlan>,
    context: &PhysicalPlanDecodeContext<'_>,
) -> Result<FetchShardsExec> {
    let Shards { written, url, projection, limit } = message;
    let (projection, schema) = projected(projection, &table_schema())?;
    let scan = ShardScan {
        location: Location::sent(written, &url, &[], &[]).map_err(undecodable)?,
        partitions: vec![],
        projection,
        schema,
        limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        failures: QueryFailures::of(context.task_ctx().session_config().options()),
    };
    Ok(FetchShardsExec::new(input, scan))
}
