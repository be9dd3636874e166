//! `Infer`: the logical node that runs models, once per distinct call.
//!
//! ```text
//!  Projection: path, __infer_1 AS c           Infer adds columns and keeps rows, so DataFusion's own rules move
//!    Infer: __infer_1=classify(image, 'm')    filters on other columns below it and prune the image bytes above it.
//!      TableScan: images
//! ```

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, assert_eq_or_internal_err, internal_err};
use datafusion::logical_expr::logical_plan::Extension;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};
use itertools::Itertools;
use seequel_udfs::Request;

use crate::model::Predictor;

/// One distinct inference call of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct InferCall {
    /// What the model predicts.
    pub request: Request,
    /// The model's inputs, in terms of the node's input; of [`Request::ImageFunction`] the call of the function.
    pub inputs: Vec<Expr>,
    /// The model, or the models of an ensemble.
    pub predictor: Predictor,
}

impl InferCall {
    /// The same call on other inputs.
    pub(super) fn on(&self, inputs: Vec<Expr>) -> Self {
        Self { inputs, request: self.request, predictor: self.predictor.clone() }
    }

    /// The column `name` of the predictions for an input with these columns.
    fn field(&self, name: &str, input: &DFSchema) -> Result<FieldRef> {
        if let (Request::ImageFunction, [value]) = (self.request, self.inputs.as_slice()) {
            // It may be marked as an image.
            let field = value.to_field(input)?.1;
            return Ok(Arc::new(field.as_ref().clone().with_name(name).with_nullable(true)));
        }
        let types = self.inputs.iter().map(|expr| expr.get_type(input)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Field::new(name, self.predictor.prediction_type(self.request, &types)?, true)))
    }
}

impl fmt::Display for InferCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs = self.inputs.iter().map(Expr::to_string).collect::<Vec<_>>();
        f.write_str(&self.request.display(&inputs, self.predictor.name()))
    }
}

/// Adds one column per call to its input.
#[derive(Clone)]
pub struct InferNode {
    input: LogicalPlan,
    /// Names of the columns, unique in the whole plan, and the calls that fill them.
    calls: Vec<(String, InferCall)>,
    /// Names a row in errors and the log.
    row: Option<Expr>,
    schema: DFSchemaRef,
}

impl InferNode {
    /// Inference of `calls` over `input`.
    ///
    /// # Errors
    /// A column name that the input already has, or a call that its model does not support.
    pub fn try_new(input: LogicalPlan, calls: Vec<(String, InferCall)>, row: Option<Expr>) -> Result<Self> {
        let schema = input.schema();
        let field = |(column, call): &(String, InferCall)| Ok((None, call.field(column, schema)?));
        let mut fields: Vec<_> =
            schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        fields.extend(calls.iter().map(field).collect::<Result<Vec<_>>>()?);
        let with_predictions = DFSchema::new_with_metadata(fields, schema.metadata().clone())?
            .with_functional_dependencies(schema.functional_dependencies().clone())?;
        Ok(Self { schema: Arc::new(with_predictions), input, calls, row })
    }

    /// The added columns and their calls, in the order of the schema.
    #[must_use]
    pub fn calls(&self) -> &[(String, InferCall)] {
        &self.calls
    }

    /// Name and type of an added column.
    pub(super) fn prediction_field(&self, column: &str) -> Result<FieldRef> {
        Ok(Arc::clone(self.schema.qualified_field_with_unqualified_name(column)?.1))
    }

    /// The node with other calls on another input, which must have the columns that this node reads.
    pub(super) fn with(&self, input: LogicalPlan, calls: Vec<(String, InferCall)>) -> Result<LogicalPlan> {
        let node = Arc::new(Self::try_new(input, calls, self.row.clone())?);
        Ok(LogicalPlan::Extension(Extension { node }))
    }

    /// The inputs of all calls, in order.
    fn inputs(&self) -> impl Iterator<Item = &Expr> {
        self.calls.iter().flat_map(|(_, call)| &call.inputs)
    }

    /// Names a row in errors: an expression over the input.
    #[must_use]
    pub fn row(&self) -> Option<&Expr> {
        self.row.as_ref()
    }

    /// The plan below.
    #[must_use]
    pub fn input(&self) -> &LogicalPlan {
        &self.input
    }
}

impl UserDefinedLogicalNodeCore for InferNode {
    fn name(&self) -> &'static str {
        "Infer"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.inputs().chain(&self.row).cloned().collect()
    }

    /// Predicates on predictions stay above the node; all others may be pushed down.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.calls.iter().map(|(column, _)| column.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Infer: {}", self.calls.iter().map(|(column, call)| format!("{column}={call}")).join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let expected = self.inputs().count() + usize::from(self.row.is_some());
        assert_eq_or_internal_err!(
            exprs.len(),
            expected,
            "Infer has an expression for each input of a call, and one for the row"
        );
        let Some(input) = inputs.pop() else {
            return internal_err!("Infer has one input");
        };
        let mut exprs = exprs.into_iter();
        let calls = self.calls.iter().map(|(column, call)| {
            (column.clone(), call.on(exprs.by_ref().take(call.inputs.len()).collect()))
        });
        let calls = calls.collect();
        Self::try_new(input, calls, exprs.next())
    }

    /// The requested columns of the input, and those that the calls' inputs and the row refer to.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let passed = output_columns.iter().copied().filter(|column| *column < schema.fields().len());
        let columns: HashSet<&Column> = self.inputs().chain(&self.row).flat_map(Expr::column_refs).collect();
        let read = columns.into_iter().map(|column| schema.maybe_index_of_column(column));
        let read = read.collect::<Option<Vec<_>>>()?;
        Some(vec![passed.chain(read).sorted_unstable().dedup().collect()])
    }
}

impl fmt::Debug for InferNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_for_explain(f)
    }
}

// The schema follows from the other fields.
impl PartialEq for InferNode {
    fn eq(&self, other: &Self) -> bool {
        let Self { input, calls, row, schema: _ } = self;
        *input == other.input && *calls == other.calls && *row == other.row
    }
}

impl Eq for InferNode {}

impl Hash for InferNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { input, calls, row, schema: _ } = self;
        input.hash(state);
        calls.hash(state);
        row.hash(state);
    }
}

impl PartialOrd for InferNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let Self { input, calls, row, schema: _ } = self;
        (input, calls, row).partial_cmp(&(&other.input, &other.calls, &other.row))
    }
}

/// `plan` as an `Infer` node, if it is one.
pub(crate) fn as_infer(plan: &LogicalPlan) -> Option<&InferNode> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}
