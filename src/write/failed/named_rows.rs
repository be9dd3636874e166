//! Tells functions in a plan the paths of their rows, so that the failures that they report have one.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use seequel_udfs::Inference;

use crate::exec::InferExec;
use crate::failures::{QueryFailures, with_row_names};
use crate::images::functions::image_functions;

/// The plan in which functions that can fail on an image know the column `path` of their rows, where there is one, and tell
/// `failures` of those that fail, if there are others than those that they were planned with.
///
/// # Errors
/// A bug: operators that can't be put together again.
pub(crate) fn with_named_rows(
    plan: Arc<dyn ExecutionPlan>,
    failures: Option<&QueryFailures>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let named = plan.transform_up(|node| {
        let inputs = node.children();
        let [input] = inputs.as_slice() else { return Ok(Transformed::no(node)) };
        let Some(namer) = Namer::of(input, failures) else { return Ok(Transformed::no(node)) };
        if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            let exprs = projection.expr().iter();
            let named = exprs.map(|one| Ok(ProjectionExpr::new(namer.name(&one.expr)?, one.alias.clone())));
            let named = named.collect::<Result<Vec<_>>>()?;
            return Ok(Transformed::yes(Arc::new(ProjectionExec::try_new(named, Arc::clone(input))?) as _));
        }
        if let Some(filter) = node.downcast_ref::<FilterExec>() {
            let predicate = namer.name(filter.predicate())?;
            let named = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            return Ok(Transformed::yes(Arc::new(named) as _));
        }
        match node.downcast_ref::<InferExec>() {
            Some(infer) => {
                let named = infer.clone().map_inputs(|expr| namer.name(&expr))?;
                Ok(Transformed::yes(Arc::new(named) as _))
            }
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(named.data)
}

/// Tells functions the paths of their rows.
pub(crate) struct Namer {
    input: SchemaRef,
    path: Arc<dyn PhysicalExpr>,
    failures: Option<QueryFailures>,
    functions: HashSet<String>,
}

impl Namer {
    /// Names the rows of `input`, if they have a path.
    pub(crate) fn of(input: &Arc<dyn ExecutionPlan>, failures: Option<&QueryFailures>) -> Option<Self> {
        let (path, input) = (position_of(input, "path")?, input.schema());
        let path = Arc::new(Column::new(input.field(path).name(), path));
        let functions = image_functions().iter().map(|function| function.name().to_owned()).collect();
        Some(Self { input, path, failures: failures.cloned(), functions })
    }

    /// `expr` whose functions know the names.
    ///
    /// # Errors
    /// A bug: expressions that can't be put together again.
    pub(crate) fn name(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let can_fail = |call: &ScalarFunctionExpr| {
            call.fun().inner().is::<Inference>() || self.functions.contains(call.fun().name())
        };
        let named =
            with_row_names(Arc::clone(expr), &self.input, &self.path, self.failures.as_ref(), can_fail)?;
        Ok(named.data)
    }
}

/// The position in the plan's rows of what a scan or another source calls `name`, under any name; `None` if it is not there.
pub(crate) fn position_of(plan: &Arc<dyn ExecutionPlan>, name: &str) -> Option<usize> {
    let inputs = if is_source(plan) { vec![] } else { plan.children() };
    let [input] = inputs.as_slice() else {
        let schema = plan.schema();
        let mut named = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
        // Both sides of a join may have one.
        return named.next().map(|(position, _)| position).filter(|_| named.next().is_none());
    };
    let below = position_of(input, name)?;
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let is_it = |one: &ProjectionExpr| {
            one.expr.downcast_ref::<Column>().is_some_and(|column| column.index() == below)
        };
        return projection.expr().iter().position(is_it);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return match filter.projection() {
            Some(projection) => projection.iter().position(|index| *index == below),
            None => Some(below),
        };
    }
    // As inference does, which appends columns.
    plan.schema().fields().starts_with(input.schema().fields()).then_some(below)
}

/// Whether the input of an operator has other rows, such as the names of files.
fn is_source(_plan: &Arc<dyn ExecutionPlan>) -> bool {
    #[cfg(feature = "cluster")]
    return _plan.is::<crate::images::scan::FetchImagesExec>();
    #[cfg(not(feature = "cluster"))]
    false
}
