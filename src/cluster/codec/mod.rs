//! Physical plans as messages.
//!
//! ```text
//!  client                                       scheduler, executor
//!  InferExec ─────────── infer.rs ── Infer ───► InferTaskExec
//!  ListImagesExec ────── scan.rs ─── List ────► ListImagesExec
//!  FetchImagesExec ───── scan.rs ─── Fetch ───► FetchImagesExec
//!  FetchShardsExec ───── shards.rs ─ Shards ──► FetchShardsExec
//!  JoinTaskExec ──────── join.rs ─── Join ────► JoinTaskExec
//!  WritePartsExec ────── parts.rs ── Parts ───► WritePartsExec
//!  TellFailedExec ───────────────────────────── TellFailedExec
//!  calls in expressions ─ calls.rs ─ CallInExpr ► calls over ExprModels
//!  Ballista's operators ────────────────────── Ballista's codec
//!  DataFusion's ────────────────────────────── datafusion-proto
//! ```
//!
//! Only physical plans travel. The client plans as it does for itself, so that a query gives the same rows, and the
//! scheduler needs neither tables nor models to divide it.

mod calls;
mod errors;
mod infer;
mod join;
mod named;
mod parts;
mod scan;
mod shards;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::ExecutionPlan;
use prost::Message;
use seequel_cluster::ballista_codec;
use seequel_cluster::datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use seequel_udfs::Inference;

use crate::Error;
use crate::cluster::joins::JoinTaskExec;
use crate::cluster::task::messages::{Kind, MARK, Operator, TellFailed, check_version};
use crate::cluster::task::{ExecutorModels, InferTaskExec, TaskCall, TellFailedExec};
use crate::exec::InferExec;
use crate::images::scan::{FetchImagesExec, ListImagesExec, Scan};
use crate::images::webdataset::FetchShardsExec;
use crate::write::{TaskLogs, WritePartsExec};
pub(super) use calls::ClientConverter;
use errors::undecodable;

/// The codec of Seequel's operators, and of Ballista's.
#[derive(Debug)]
pub(crate) struct SeequelCodec {
    /// The models of an executor; others run none.
    models: Option<Arc<ExecutorModels>>,
    /// Where an executor notes what it has written; others write nothing.
    logs: Option<Arc<TaskLogs>>,
    /// With which a client offers the files of its models.
    secret: String,
    others: Arc<dyn PhysicalExtensionCodec>,
}

impl SeequelCodec {
    /// The codec of a scheduler, which passes plans on.
    pub(crate) fn without_models() -> Self {
        Self { models: None, logs: None, secret: String::new(), others: ballista_codec() }
    }

    /// The codec of a client that offers the files of its models with `secret`.
    pub(crate) fn of_client(secret: String) -> Self {
        Self { secret, ..Self::without_models() }
    }

    /// The codec of an executor.
    pub(crate) fn with_models(models: Arc<ExecutorModels>) -> Self {
        Self { models: Some(models), logs: Some(Arc::default()), ..Self::without_models() }
    }

    fn decode(
        &self,
        message: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Operator { version: theirs, kind } = Operator::decode(message).map_err(undecodable)?;
        check_version(&theirs)?;
        let context = PhysicalPlanDecodeContext::new(context, self);
        match (kind, inputs) {
            (Some(Kind::List(message)), []) => {
                let finished = message.finished.clone().map(parts::decode_finished).transpose()?;
                let (scan, partition_columns) = scan::decode(*message, &context, converter)?;
                Ok(Arc::new(ListImagesExec::new(scan, partition_columns, 1).without(finished)))
            }
            (Some(Kind::Fetch(message)), [input]) => {
                let (scan, partition_columns) = scan::decode(*message, &context, converter)?;
                Ok(Arc::new(FetchImagesExec::new(Arc::clone(input), scan, partition_columns)))
            }
            (Some(Kind::Shards(message)), [input]) => {
                Ok(Arc::new(shards::decode(message, Arc::clone(input), &context)?))
            }
            (Some(Kind::Infer(message)), [input]) => {
                let (calls, row) = infer::decode(*message, input, &context, converter)?;
                Ok(Arc::new(InferTaskExec::new(Arc::clone(input), calls, row, self.models.clone())?))
            }
            (Some(Kind::Join(message)), inputs) => {
                Ok(Arc::new(join::decode(message, inputs, &context, converter)?))
            }
            (Some(Kind::Parts(message)), [input]) => {
                Ok(Arc::new(parts::decode(message, input, self.logs.as_ref(), &context, converter)?))
            }
            (Some(Kind::TellFailed(TellFailed { lists })), [input]) => {
                let input = Arc::clone(input);
                // The scheduler passes the plan on, and rows' names are no part of messages.
                let is_executor = self.models.is_some();
                let input = if lists && is_executor { named::rows_of(input, None)? } else { input };
                Ok(Arc::new(TellFailedExec::new(input, lists)))
            }
            _ => Err(undecodable("it has no operator, or other inputs than its own")),
        }
    }
}

impl PhysicalExtensionCodec for SeequelCodec {
    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match buffer.strip_prefix(MARK) {
            Some(message) => self.decode(message, inputs, context, converter),
            None => self.others.try_decode(buffer, inputs, context, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(list) = node.downcast_ref::<ListImagesExec>() {
            let mut message = scan::encode(list.scan(), list.partition_columns(), self, converter)?;
            message.finished = list.finished().map(parts::encode_finished);
            return Operator::encode_marked(Kind::List(Box::new(message)), buffer);
        }
        if let Some(fetch) = node.downcast_ref::<FetchImagesExec>() {
            // Its files have passed the filter.
            let scan = Scan { filter: None, folder: None, ..fetch.scan().clone() };
            let message = scan::encode(&scan, fetch.partition_columns(), self, converter)?;
            return Operator::encode_marked(Kind::Fetch(Box::new(message)), buffer);
        }
        if let Some(fetch) = node.downcast_ref::<FetchShardsExec>() {
            return Operator::encode_marked(Kind::Shards(shards::encode(fetch)), buffer);
        }
        if let Some(infer) = node.downcast_ref::<InferExec>() {
            let calls = infer
                .calls()
                .iter()
                .map(|call| TaskCall::of(call, &self.secret))
                .collect::<Result<Vec<_>>>()?;
            let message = infer::encode(&calls, infer.row.as_ref(), self, converter)?;
            return Operator::encode_marked(Kind::Infer(Box::new(message)), buffer);
        }
        if let Some(infer) = node.downcast_ref::<InferTaskExec>() {
            let message = infer::encode(infer.calls(), infer.row(), self, converter)?;
            return Operator::encode_marked(Kind::Infer(Box::new(message)), buffer);
        }
        if let Some(join) = node.downcast_ref::<JoinTaskExec>() {
            return Operator::encode_marked(Kind::Join(join::encode(join, self, converter)?), buffer);
        }
        if let Some(write) = node.downcast_ref::<WritePartsExec>() {
            return Operator::encode_marked(
                Kind::Parts(parts::encode(write.parts(), self, converter)?),
                buffer,
            );
        }
        if let Some(tell) = node.downcast_ref::<TellFailedExec>() {
            let message = TellFailed { lists: tell.lists() };
            return Operator::encode_marked(Kind::TellFailed(message), buffer);
        }
        let name = node.name().to_owned();
        let encoded = self.others.try_encode(node, buffer, converter);
        encoded.map_err(|_| Error::not_on_cluster(&format!("the operator {name}")))
    }

    fn try_encode_udf(&self, function: &ScalarUDF, buffer: &mut Vec<u8>) -> Result<()> {
        match function.inner().downcast_ref::<Inference>() {
            Some(inference) => calls::encode(inference, buffer),
            None => self.others.try_encode_udf(function, buffer),
        }
    }

    fn try_decode_udf(&self, name: &str, buffer: &[u8]) -> Result<Arc<ScalarUDF>> {
        match buffer.strip_prefix(MARK) {
            Some(message) => calls::decode(message, self.models.clone()),
            None => self.others.try_decode_udf(name, buffer),
        }
    }
}

#[cfg(test)]
mod tests;
