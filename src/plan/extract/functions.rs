//! Functions of images that `image_error` of the same image shares the decoding of: they become columns of its node.
//!
//! ```text
//!  SELECT thumbnail(image, 256), image_error(image)
//!
//!  Projection: __infer_1, __infer_2
//!    Infer: __infer_1=thumbnail(image, 256), __infer_2=image_error(image)
//! ```
//!
//! A model decodes at a scale of its own. Beside one, `image_error` shares that, and functions decode for themselves.

use std::any::Any;
use std::collections::HashSet;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use seequel_udfs::{Inference, Request};

use crate::images::functions::decodes_image;
use crate::model::Predictor;
use crate::plan::InferCall;

/// The images of a plan's calls of `image_error` without a model, as texts without the names of tables.
#[derive(Debug, Default)]
pub(super) struct ErrorImages(HashSet<String>);

impl ErrorImages {
    pub(super) fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut found = HashSet::new();
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    if let Expr::ScalarFunction(ScalarFunction { func, args }) = part
                        && let Some(marker) = (func.inner().as_ref() as &dyn Any).downcast_ref::<Inference>()
                        && let [image] = args.as_slice()
                        && !image.column_refs().is_empty()
                        && marker.call(args)?.0.request == Request::ImageError
                    {
                        found.insert(unqualified(image)?);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(Self(found))
    }

    /// `function` as a call that is evaluated beside `image_error`, if it decodes one of these images.
    pub(super) fn call(&self, function: &ScalarFunction) -> Result<Option<InferCall>> {
        let Some(image) = function.args.first().filter(|_| !self.0.is_empty()) else { return Ok(None) };
        if !decodes_image(&function.func) || !self.0.contains(&unqualified(image)?) {
            return Ok(None);
        }
        let inputs = vec![Expr::ScalarFunction(function.clone())];
        Ok(Some(InferCall { request: Request::ImageFunction, inputs, predictor: Predictor::Decoder }))
    }
}

/// The image that a call reads, if it reads nothing else but constants.
pub(super) fn image_of(call: &InferCall) -> Option<&Expr> {
    match (call.request, call.inputs.as_slice()) {
        (Request::ImageFunction, [Expr::ScalarFunction(function)]) => {
            let (image, others) = function.args.split_first()?;
            others.iter().all(|other| other.column_refs().is_empty()).then_some(image)
        }
        (Request::ImageFunction, _) => None,
        (_, [image]) => Some(image),
        _ => None,
    }
}

/// `call`, which reads nothing but an image and constants, on `image`.
pub(super) fn on_image(call: &InferCall, image: &Expr) -> Vec<Expr> {
    let on = |expr: &Expr| match expr {
        Expr::ScalarFunction(function) if call.request == Request::ImageFunction => {
            let others = function.args.iter().skip(1).cloned();
            let args = std::iter::once(image.clone()).chain(others).collect();
            Expr::ScalarFunction(ScalarFunction { args, ..function.clone() })
        }
        _ => image.clone(),
    };
    call.inputs.iter().map(on).collect()
}

fn unqualified(expr: &Expr) -> Result<String> {
    let short = expr.clone().transform(|part| {
        Ok(match part {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
            part => Transformed::no(part),
        })
    })?;
    Ok(short.data.to_string())
}
