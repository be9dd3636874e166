//! The operators of a query with what they have done so far.

use std::sync::Arc;

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use serde::Serialize;

use crate::exec::{InferExchangeExec, InferExec};
use crate::images::scan::ImagesExec;
use crate::report::{Operator, operators};

/// One operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanNode {
    /// How many operators are above it.
    pub depth: usize,
    /// Its name, such as `InferExec`.
    pub name: String,
    /// Its line in EXPLAIN.
    pub line: String,
    /// The rows that it gave so far.
    pub rows: Option<u64>,
    /// Its times in seconds, summed over partitions, longest first.
    pub seconds: Vec<(String, f64)>,
    /// The stages that it is, as named in the accounts.
    pub stages: Vec<&'static str>,
    /// Morsels that wait for a worker now, of an exchange.
    pub queued: Option<u64>,
    /// Whether one of them is the query's bottleneck.
    pub is_bottleneck: bool,
}

/// The operators of `plan`, from its result down.
pub(super) fn nodes(plan: &Arc<dyn ExecutionPlan>, bottleneck: Option<&'static str>) -> Vec<PlanNode> {
    let mut plans = vec![];
    add(plan.as_ref(), &mut plans);
    let node = |(operator, plan): (Operator, &dyn ExecutionPlan)| {
        let Operator { depth, line, rows, seconds } = operator;
        let stages = stages(plan);
        let is_bottleneck = bottleneck.is_some_and(|stage| stages.contains(&stage));
        let exchange = plan.downcast_ref::<InferExchangeExec>();
        let queued = exchange.map(|exchange| exchange.queued_morsels() as u64);
        PlanNode { depth, name: plan.name().to_owned(), line, rows, seconds, stages, queued, is_bottleneck }
    };
    operators(plan.as_ref()).into_iter().zip(plans).map(node).collect()
}

/// Operators in the order of [`operators`].
fn add<'a>(plan: &'a dyn ExecutionPlan, all: &mut Vec<&'a dyn ExecutionPlan>) {
    all.push(plan);
    plan.children().into_iter().for_each(|child| add(child.as_ref(), all));
}

fn stages(plan: &dyn ExecutionPlan) -> Vec<&'static str> {
    if plan.is::<InferExec>() {
        vec!["decode", "preprocess", "infer", "postprocess"]
    } else if plan.is::<InferExchangeExec>() {
        vec!["queue"]
    } else if plan.is::<ImagesExec>() {
        vec!["list", "read"]
    } else if plan.is::<DataSinkExec>() {
        vec!["write"]
    } else if plan.children().is_empty() {
        vec!["read"]
    } else {
        vec!["compute"]
    }
}
