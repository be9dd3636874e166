//! Finds inference calls in expressions and replaces them by columns.

use std::any::Any;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};
use seequel_udfs::Inference;

use super::functions::ErrorImages;
use crate::model::ModelRegistry;
use crate::plan::InferCall;

/// Prefix of generated column names, followed by a number.
const COLUMN_PREFIX: &str = "__infer_";

/// The number in the name of a generated column.
pub(super) fn column_number(name: &str) -> Option<usize> {
    name.strip_prefix(COLUMN_PREFIX)?.parse().ok()
}

/// A call whose predictions a plan carries in a column.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    /// The call, in terms of the plan's other columns.
    pub(super) call: InferCall,
    pub(super) column: Column,
}

fn as_marker(function: &ScalarFunction) -> Option<&Inference> {
    let implementation: &dyn Any = function.func.inner().as_ref();
    implementation.downcast_ref()
}

/// Whether an inference call, or a function that decodes one of `images`, occurs anywhere in `plan`, its inputs or its
/// subqueries.
pub(super) fn contains_calls(plan: &LogicalPlan, images: &ErrorImages) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = expr.exists(|part| match part {
                Expr::ScalarFunction(function) => {
                    Ok(as_marker(function).is_some() || images.call(function)?.is_some())
                }
                _ => Ok(false),
            })?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// One pass over the expressions of a plan node.
///
/// It replaces calls that are already carried, and the innermost of the others, which become `pending`. A call around
/// another call is left to the next pass, when the inner one is a column.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub(super) models: &'a ModelRegistry,
    pub(super) error_images: &'a ErrorImages,
    /// Schema of the expressions' input.
    pub(super) input: &'a DFSchema,
    /// Whether the input refers to an outer query. DataFusion can't decorrelate through nodes that are not its own.
    pub(super) correlated: bool,
    pub(super) carried: &'a [Carried],
    pub(super) pending: Vec<Carried>,
    /// Number of the next generated column.
    pub(super) next_column: &'a mut usize,
}

impl Pass<'_> {
    /// Rewrites `expr`. A `lazy` expression may not be evaluated for every row, so its calls stay in place unless their
    /// predictions are already available.
    pub(super) fn rewrite(&mut self, expr: Expr, lazy: bool) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Lambda(_) => Ok(Transformed::no(expr)),
            Expr::Case(case) => self.rewrite_case(case, lazy),
            Expr::ScalarFunction(function) => match self.call(&function)? {
                Some(call) => self.rewrite_call(function, call, lazy),
                None => self.rewrite_function(function, lazy),
            },
            other => other.map_children(|child| self.rewrite(child, lazy)),
        }
    }

    fn rewrite_call(
        &mut self,
        function: ScalarFunction,
        call: InferCall,
        lazy: bool,
    ) -> Result<Transformed<Expr>> {
        let rewritten = Expr::ScalarFunction(function).map_children(|arg| self.rewrite(arg, lazy))?;
        if rewritten.transformed {
            return Ok(rewritten);
        }
        if let Some(known) = self.carried.iter().chain(&self.pending).find(|known| known.call == call) {
            return Ok(Transformed::yes(Expr::Column(known.column.clone())));
        }
        if lazy || self.correlated || !call.inputs.iter().all(|input| self.can_be_computed_below(input)) {
            return Ok(rewritten);
        }
        let column = Column::new_unqualified(format!("{COLUMN_PREFIX}{}", self.next_column));
        *self.next_column += 1;
        self.pending.push(Carried { call, column: column.clone() });
        Ok(Transformed::yes(Expr::Column(column)))
    }

    /// The operand and the first WHEN are evaluated for every row, the rest only for some.
    fn rewrite_case(&mut self, case: Case, lazy: bool) -> Result<Transformed<Expr>> {
        let mut position = 0;
        let always = usize::from(case.expr.is_some()) + 1;
        Expr::Case(case).map_children(|child| {
            position += 1;
            self.rewrite(child, lazy || position > always)
        })
    }

    fn rewrite_function(&mut self, function: ScalarFunction, lazy: bool) -> Result<Transformed<Expr>> {
        let lazy_arguments: Vec<bool> = match function.func.conditional_arguments(&function.args) {
            None => vec![lazy; function.args.len()],
            Some((always, _)) => {
                let is_lazy = |arg| !always.iter().any(|always| std::ptr::eq(*always, arg));
                function.args.iter().map(|arg| lazy || is_lazy(arg)).collect()
            }
        };
        let mut lazy_arguments = lazy_arguments.into_iter();
        Expr::ScalarFunction(function)
            .map_children(|arg| self.rewrite(arg, lazy_arguments.next().unwrap_or(lazy)))
    }

    /// `function` as an inference call, if it is one, or as one beside `image_error`.
    fn call(&self, function: &ScalarFunction) -> Result<Option<InferCall>> {
        let Some(marker) = as_marker(function) else { return self.error_images.call(function) };
        let (call, inputs) = marker.call(&function.args)?;
        let predictor = self.models.called(&call)?;
        Ok(Some(InferCall { request: call.request, inputs: inputs.to_vec(), predictor }))
    }

    /// Whether an operator below this node can compute `input` row by row, from the columns of the node's input alone.
    fn can_be_computed_below(&self, input: &Expr) -> bool {
        let needs_more = input.exists(|part| {
            Ok(matches!(
                part,
                Expr::AggregateFunction(_)
                    | Expr::WindowFunction(_)
                    | Expr::Unnest(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::LambdaVariable(_)
                    | Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::SetComparison(_)
                    | Expr::ScalarSubquery(_)
            ))
        });
        !input.is_volatile()
            && matches!(needs_more, Ok(false))
            && input.column_refs().into_iter().all(|column| self.input.has_column(column))
    }
}
