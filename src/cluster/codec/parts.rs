//! The message of `WritePartsExec`.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use seequel_cluster::datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};

use super::errors::undecodable;
use super::named;
use super::scan::sent;
use crate::cluster::task::messages::{Finished, Parts};
use crate::failures::QueryFailures;
use crate::resume::{FinishedKeys, Key};
use crate::write::{TaskLogs, TaskParts, WritePartsExec, finished_keys};

pub(super) fn encode(
    parts: &TaskParts,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Parts> {
    let (written, url) = parts.location();
    Ok(Parts {
        writer: Some(Box::new(converter.execution_plan_to_proto(&parts.writer()?, codec)?)),
        written: written.to_owned(),
        url,
        positions: sent(&parts.positions),
        run: parts.run().unwrap_or_default(),
    })
}

/// The operator over `input`, which writes if there are `logs`.
pub(super) fn decode(
    message: Parts,
    input: &Arc<dyn ExecutionPlan>,
    logs: Option<&Arc<TaskLogs>>,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<WritePartsExec> {
    let Parts { writer, written, url, positions, run } = message;
    let writer = writer.ok_or_else(|| undecodable("what writes is missing"))?;
    let writer = converter.proto_to_execution_plan(&writer, context)?;
    let positions: Vec<_> = positions.into_iter().map(|position| position as usize).collect();
    if positions.iter().any(|position| *position >= input.schema().fields().len()) {
        return Err(undecodable("a column of the key is missing"));
    }
    let parts = TaskParts::sent(&writer, (written, &url), positions, run).map_err(undecodable)?;
    match logs {
        None => Ok(WritePartsExec::of_scheduler(Arc::clone(input), parts)),
        Some(logs) => {
            let failures = QueryFailures::of(context.task_ctx().session_config().options());
            let input = named::rows_of(Arc::clone(input), Some((&failures, parts.key())))?;
            Ok(WritePartsExec::of_executor(input, parts, Arc::clone(logs), failures))
        }
    }
}

pub(super) fn encode_finished(keys: &FinishedKeys) -> Finished {
    Finished {
        written: keys.written.clone(),
        url: keys.url.to_string(),
        run: keys.run.clone(),
        by_version: keys.key == Key::Version,
    }
}

pub(super) fn decode_finished(message: Finished) -> Result<FinishedKeys> {
    let Finished { written, url, run, by_version } = message;
    let key = if by_version { Key::Version } else { Key::Path };
    finished_keys(written, &url, run, key).map_err(undecodable)
}
