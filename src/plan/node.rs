//! `Infer`: the logical node that runs models, once for each distinct call.
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

use datafusion::arrow::datatypes::Field;
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, assert_eq_or_internal_err, internal_err};
use datafusion::logical_expr::logical_plan::Extension;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use itertools::Itertools;
use seequel_udfs::classification_type;

use crate::models::Model;

/// One distinct inference call of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct InferCall {
    /// The image, in terms of the node's input.
    pub image: Expr,
    /// The model that looks at it.
    pub model: Arc<Model>,
}

impl fmt::Display for InferCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "classify({}, '{}')", self.image, self.model.spec().name)
    }
}

/// Adds to its input one column for each call.
#[derive(Clone)]
pub struct InferNode {
    input: LogicalPlan,
    /// Name of the column, unique in the whole plan, and the call that fills it.
    calls: Vec<(String, InferCall)>,
    /// What errors call a row, where a failing row is to fail the query.
    row: Option<Expr>,
    schema: DFSchemaRef,
}

impl InferNode {
    /// Inference of `calls` over `input`.
    ///
    /// # Errors
    /// A column whose name the input has already.
    pub fn try_new(input: LogicalPlan, calls: Vec<(String, InferCall)>, row: Option<Expr>) -> Result<Self> {
        let schema = input.schema();
        let answers =
            calls.iter().map(|(column, _)| (None, Arc::new(Field::new(column, classification_type(), true))));
        let fields =
            schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).chain(answers);
        let with_answers = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?
            .with_functional_dependencies(schema.functional_dependencies().clone())?;
        Ok(Self { schema: Arc::new(with_answers), input, calls, row })
    }

    /// The added columns and their calls, in the order of the schema.
    #[must_use]
    pub fn calls(&self) -> &[(String, InferCall)] {
        &self.calls
    }

    /// The node with other calls on another input, which has the columns that this one reads.
    pub(super) fn with(&self, input: LogicalPlan, calls: Vec<(String, InferCall)>) -> Result<LogicalPlan> {
        let node = Arc::new(Self::try_new(input, calls, self.row.clone())?);
        Ok(LogicalPlan::Extension(Extension { node }))
    }

    /// What errors call a row: an expression over the input.
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
        self.calls.iter().map(|(_, call)| &call.image).chain(&self.row).cloned().collect()
    }

    /// Predicates on what the models say stay above; all others may pass.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.calls.iter().map(|(column, _)| column.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Infer: {}", self.calls.iter().map(|(column, call)| format!("{column}={call}")).join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let expected = self.calls.len() + usize::from(self.row.is_some());
        assert_eq_or_internal_err!(
            exprs.len(),
            expected,
            "Infer has an expression a call, and one for the row"
        );
        let Some(input) = inputs.pop() else {
            return internal_err!("Infer has one input");
        };
        let mut exprs = exprs.into_iter();
        let calls = self.calls.iter().zip(exprs.by_ref()).map(|((column, call), image)| {
            (column.clone(), InferCall { image, model: Arc::clone(&call.model) })
        });
        let calls = calls.collect();
        Self::try_new(input, calls, exprs.next())
    }

    /// The input's columns that are asked for, and those that images and row are made of.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let passed = output_columns.iter().copied().filter(|column| *column < schema.fields().len());
        let exprs = self.calls.iter().map(|(_, call)| &call.image).chain(&self.row);
        let columns: HashSet<&Column> = exprs.flat_map(Expr::column_refs).collect();
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

/// The `Infer` node that `plan` is, if it is one.
pub(super) fn as_infer(plan: &LogicalPlan) -> Option<&InferNode> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}
