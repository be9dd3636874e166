//! The message of inference: the calls, and the models' specifications.

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::error::Result;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use seequel_cluster::datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use seequel_cluster::datafusion_proto::protobuf::PhysicalExprNode;

use super::errors::{undecodable, unencodable};
use crate::cluster::task::TaskCall;
use crate::cluster::task::messages::{Call, Infer};

/// Names a row in errors.
type RowName = Arc<dyn PhysicalExpr>;

pub(super) fn encode(
    calls: &[TaskCall],
    row: Option<&Arc<dyn PhysicalExpr>>,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Infer> {
    let expr = |expr: &Arc<dyn PhysicalExpr>| converter.physical_expr_to_proto(expr, codec);
    let columns = Schema::new(calls.iter().map(|call| Arc::clone(&call.field)).collect::<Vec<_>>());
    let call = |call: &TaskCall| {
        let inputs = call.inputs.iter().map(expr).collect::<Result<_>>()?;
        Ok(Call::of(call.request, inputs, call.predictor.clone()))
    };
    Ok(Infer {
        calls: calls.iter().map(call).collect::<Result<_>>()?,
        columns: Some((&columns).try_into().map_err(unencodable)?),
        row: row.map(expr).transpose()?,
    })
}

/// The calls over `input`, and what names a row.
pub(super) fn decode(
    message: Infer,
    input: &Arc<dyn ExecutionPlan>,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<(Vec<TaskCall>, Option<RowName>)> {
    let schema = input.schema();
    let expr = |expr: &PhysicalExprNode| converter.proto_to_physical_expr(expr, &schema, context);
    let columns = message.columns.as_ref().ok_or_else(|| undecodable("inference has no columns"))?;
    let columns: Schema = columns.try_into().map_err(undecodable)?;
    if columns.fields().len() != message.calls.len() {
        return Err(undecodable("a call has no column"));
    }
    let call = |(call, field): (Call, &FieldRef)| {
        let request = call.request().ok_or_else(|| undecodable("a function is unknown"))?;
        Ok(TaskCall {
            field: Arc::clone(field),
            request,
            inputs: call.inputs.iter().map(expr).collect::<Result<_>>()?,
            predictor: call.predictor.ok_or_else(|| undecodable("a call has no model"))?,
        })
    };
    let calls = message.calls.into_iter().zip(columns.fields()).map(call).collect::<Result<_>>()?;
    Ok((calls, message.row.as_ref().map(expr).transpose()?))
}
