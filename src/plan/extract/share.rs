//! Lets `image_error(image)` and the call whose failures it tells, or whose decoding it shares, run in one `Infer` node,
//! though they occur in two nodes.
//!
//! ```text
//!  SELECT embed(image) … WHERE image_error(image) IS NULL
//!
//!  Projection: embed(image)                      Projection: __infer_2
//!    Filter: __infer_1 IS NULL            ──►      Filter: __infer_1 IS NULL
//!      Infer: __infer_1=image_error(image)           Infer: __infer_1=image_error(image), __infer_2=embed(image)
//! ```

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::logical_plan::{Projection, SubqueryAlias};
use datafusion::logical_expr::{Expr, LogicalPlan};
use seequel_udfs::Request;

use super::calls::Carried;
use super::functions::{image_of, on_image};
use crate::model::Predictor;
use crate::plan::InferCall;
use crate::plan::node::as_infer;

/// The call among `carried` that must run together with `call`.
pub(super) fn companion<'a>(call: &InferCall, carried: &'a [Carried]) -> Option<&'a Carried> {
    let tells = |error: &InferCall, other: &InferCall| {
        error.request == Request::ImageError
            && other.request != Request::ImageError
            && (error.predictor == Predictor::Decoder || error.predictor == other.predictor)
    };
    let image = image_of(call)?;
    carried.iter().find(|carried| {
        let known = &carried.call;
        image_of(known) == Some(image) && (tells(known, call) || tells(call, known))
    })
}

/// `plan` with `added` computed in the node that computes the column named `known`, of a call on the same inputs; also the
/// column of `added` in the plan's schema. `None` if the columns between can't be passed on.
pub(super) fn beside(
    plan: &LogicalPlan,
    known: &str,
    added: &Carried,
) -> Result<Option<(LogicalPlan, Column)>> {
    let name = &added.column.name;
    if let Some(infer) = as_infer(plan) {
        let mut calls = infer.calls().to_vec();
        if let Some((_, call)) = infer.calls().iter().find(|(column, _)| column == known) {
            let Some(image) = image_of(call) else { return Ok(None) };
            calls.push((name.clone(), added.call.on(on_image(&added.call, image))));
            return Ok(Some((infer.with(infer.input().clone(), calls)?, Column::new_unqualified(name))));
        }
        let Some((input, column)) = beside(infer.input(), known, added)? else { return Ok(None) };
        return Ok(Some((infer.with(input, calls)?, column)));
    }
    match plan {
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Join(_) => {
            let mut inputs: Vec<_> = plan.inputs().into_iter().cloned().collect();
            for position in 0..inputs.len() {
                if let Some((input, column)) = beside(&inputs[position], known, added)? {
                    inputs[position] = input;
                    return Ok(Some((plan.with_new_exprs(plan.expressions(), inputs)?, column)));
                }
            }
            Ok(None)
        }
        LogicalPlan::Projection(Projection { expr, input, .. }) => {
            let Some((input, column)) = beside(input, known, added)? else { return Ok(None) };
            let mut expr = expr.clone();
            expr.push(Expr::Column(column.clone()));
            Ok(Some((LogicalPlan::Projection(Projection::try_new(expr, Arc::new(input))?), column)))
        }
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => {
            let Some((input, column)) = beside(input, known, added)? else { return Ok(None) };
            let column = Column::new(Some(alias.clone()), column.name);
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.clone())?;
            Ok(Some((LogicalPlan::SubqueryAlias(alias), column)))
        }
        _ => Ok(None),
    }
}
