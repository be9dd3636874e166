//! The message of `JoinTaskExec`: the join without its inputs.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use seequel_cluster::datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};

use super::errors::undecodable;
use crate::cluster::joins::JoinTaskExec;
use crate::cluster::task::messages::Join;

pub(super) fn encode(
    join: &JoinTaskExec,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Join> {
    let operator = converter.execution_plan_to_proto(&join.without_inputs()?, codec)?;
    Ok(Join { operator: Some(Box::new(operator)), in_one_task: join.in_one_task() })
}

pub(super) fn decode(
    message: Join,
    inputs: &[Arc<dyn ExecutionPlan>],
    context: &PhysicalPlanDecodeContext<'_>,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<JoinTaskExec> {
    let operator = message.operator.ok_or_else(|| undecodable("a join is missing"))?;
    let join = converter.proto_to_execution_plan(&operator, context)?;
    JoinTaskExec::over(&join, inputs, message.in_one_task).map_err(undecodable)
}
