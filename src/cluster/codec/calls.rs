//! Calls of models that stay in an expression, such as in a branch of CASE: their functions travel with what they run.
//!
//! ```text
//!  client                                          scheduler, executor
//!  classify(image), of the session's models
//!    └─ ClientConverter ─► of ExprModels ─ CallInExpr ─► of ExprModels, which an executor finds
//! ```
//!
//! A codec sees the function of a call, and not the literal that names the model. What converts the client's plan sees both.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use prost::Message;
use seequel_cluster::OfferedFile;
use seequel_cluster::datafusion_proto::physical_plan::PhysicalPlanNodeExt;
use seequel_cluster::datafusion_proto::physical_plan::to_proto::serialize_physical_expr_with_converter;
use seequel_cluster::datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use seequel_cluster::datafusion_proto::protobuf::{PhysicalExprNode, PhysicalPlanNode};
use seequel_udfs::{Inference, Models};

use super::errors::undecodable;
use crate::Error;
use crate::cluster::task::messages::{Call, CallInExpr, SentPredictor, check_version};
use crate::cluster::task::{ExecutorModels, ExprModels, files_of};
use crate::failures::without_row_names;
use crate::model::ModelRegistry;

/// Makes messages of a client's plan, with the models of its calls in expressions.
#[derive(Debug)]
pub(in crate::cluster) struct ClientConverter<'a> {
    /// With which the client offers their files.
    secret: &'a str,
    files: Mutex<Vec<OfferedFile>>,
}

impl<'a> ClientConverter<'a> {
    pub(in crate::cluster) fn new(secret: &'a str) -> Self {
        Self { secret, files: Mutex::default() }
    }

    /// The files of the models of what was converted.
    pub(in crate::cluster) fn into_files(self) -> Vec<OfferedFile> {
        self.files.into_inner()
    }

    /// `expr` as a call of its own model, if it is one of the session's models.
    fn sent(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else { return Ok(None) };
        let Some(inference) = call.fun().inner().downcast_ref::<Inference>() else { return Ok(None) };
        let models: &dyn Any = inference.models().as_ref();
        let Some(registry) = models.downcast_ref::<ModelRegistry>() else { return Ok(None) };
        let literals = call.args().iter().map(|arg| arg.downcast_ref::<Literal>().map(Literal::value));
        let made = inference.call_of(literals.collect())?;
        let predictor = registry.called(&made)?;
        self.files.lock().extend(files_of(&predictor)?);
        let predictor = SentPredictor::of(&predictor, self.secret)?;
        let models: Arc<dyn Models> = Arc::new(ExprModels::new(made.request, predictor, None));
        let function = inference.over(&models, call.config_options());
        let (args, field) = (call.args().to_vec(), call.return_field(&Schema::empty())?);
        let settings = Arc::new(call.config_options().clone());
        let sent = ScalarFunctionExpr::new(call.name(), Arc::new(function), args, field, settings);
        Ok(Some(Arc::new(sent.with_nullable(call.nullable()))))
    }
}

impl PhysicalProtoConverterExtension for ClientConverter<'_> {
    fn proto_to_execution_plan(
        &self,
        message: &PhysicalPlanNode,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.default_proto_to_execution_plan(message, context)
    }

    fn execution_plan_to_proto(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<PhysicalPlanNode> {
        PhysicalPlanNode::try_from_physical_plan_with_converter(Arc::clone(plan), codec, self)
    }

    fn proto_to_physical_expr(
        &self,
        message: &PhysicalExprNode,
        input: &Schema,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        self.default_proto_to_physical_expr(message, input, context)
    }

    fn physical_expr_to_proto(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<PhysicalExprNode> {
        // An executor tells functions the names of their rows itself.
        let expr = without_row_names(expr);
        let sent = self.sent(expr)?;
        serialize_physical_expr_with_converter(sent.as_ref().unwrap_or(expr), codec, self)
    }
}

/// The function of a call, if what it runs is known.
pub(super) fn encode(inference: &Inference, buffer: &mut Vec<u8>) -> Result<()> {
    let models: &dyn Any = inference.models().as_ref();
    match models.downcast_ref::<ExprModels>() {
        Some(models) => {
            let call = Call::of(models.request(), vec![], models.sent().clone());
            CallInExpr::encode_marked(call, buffer)
        }
        None => Err(Error::not_on_cluster("a call of a model that is not the session's own")),
    }
}

/// The function of a message, whose model an executor finds among `models`.
pub(super) fn decode(message: &[u8], models: Option<Arc<ExecutorModels>>) -> Result<Arc<ScalarUDF>> {
    let CallInExpr { version, call } = CallInExpr::decode(message).map_err(undecodable)?;
    check_version(&version)?;
    let call = call.ok_or_else(|| undecodable("a call is missing"))?;
    let request = call.request().ok_or_else(|| undecodable("a function is unknown"))?;
    let predictor = call.predictor.ok_or_else(|| undecodable("a call has no model"))?;
    let models: Arc<dyn Models> = Arc::new(ExprModels::new(request, predictor, models));
    Ok(Arc::new(Inference::requesting(request, &models, &ConfigOptions::default())))
}
