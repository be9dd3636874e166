//! The analyzer rule that takes inference calls out of expressions.
//!
//! ```text
//!  before                                          after
//!  Projection: path, classify(image)['label']      Projection: path, __infer_1['label'] AS classify(image)['label']
//!    Filter: classify(image)['confidence'] > 0.5     Filter: __infer_1['confidence'] > 0.5
//!      TableScan: images                               Infer: __infer_1=classify(image, 'm')
//!                                                        TableScan: images
//! ```
//!
//! It runs after DataFusion's analyzer and before its optimizer, because the optimizer copies expressions: it inlines
//! a subquery's `classify(image) AS c` into every place that reads `c`, and pushes it into scans. A column can't be
//! copied into a second evaluation.
//!
//! Going up from the leaves, each node is told which calls the plan below it *carries* in hidden columns. A call that
//! is carried becomes that column; any other gets an `Infer` node right below the node it occurs in. Hidden columns are
//! passed on as far up as the image they look at is visible, so that the same call in SELECT and in WHERE, in two
//! nodes, runs once; where nobody reads them, DataFusion prunes them. Nodes whose schema means something
//! (UNION, DISTINCT, subqueries, the root) get it restored by a projection.
//!
//! Calls stay in their place, to be run by the function itself, where no row-by-row operator below could run them:
//! in branches of CASE and COALESCE that may not be taken, in lambdas, and over subqueries.
//!
//! DataFusion turns correlated subqueries into joins, but not through nodes it does not know. So calls above a reference
//! to an outer query stay too, at first: the rule runs once more as an optimizer rule, right after decorrelation.

mod calls;
mod nodes;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{AnalyzerRule, Optimizer, OptimizerConfig, OptimizerRule};

use crate::config::InferenceOptions;
use crate::model::ModelRegistry;
use calls::column_number;
use nodes::Extraction;

/// Optimizer rule of DataFusion after which no subquery refers to an outer query any more.
const LAST_DECORRELATION: &str = "decorrelate_lateral_join";

/// Replaces inference calls by columns of `Infer` nodes: an analyzer rule, and an optimizer rule for what the analyzer
/// had to leave.
#[derive(Debug)]
pub struct ExtractInference {
    models: Arc<ModelRegistry>,
}

impl ExtractInference {
    /// The rule for calls of `models`.
    #[must_use]
    pub fn new(models: Arc<ModelRegistry>) -> Self {
        Self { models }
    }

    /// Puts the rule in its place among DataFusion's optimizer rules, or first if that is not found.
    pub fn insert_into(self: Arc<Self>, optimizer: &mut Optimizer) {
        let after = optimizer.rules.iter().position(|rule| rule.name() == LAST_DECORRELATION);
        optimizer.rules.insert(after.map_or(0, |position| position + 1), self);
    }

    fn extract(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<Transformed<LogicalPlan>> {
        let options = InferenceOptions::of(config);
        let next_column = first_free_column(&plan)?;
        let mut extraction =
            Extraction { models: &self.models, options: &options, next_column, changed: false };
        let plan = extraction.complete(plan)?;
        Ok(Transformed::new_transformed(plan, extraction.changed))
    }
}

impl AnalyzerRule for ExtractInference {
    fn name(&self) -> &'static str {
        "extract_inference"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(self.extract(plan, config)?.data)
    }
}

impl OptimizerRule for ExtractInference {
    fn name(&self) -> &'static str {
        "extract_decorrelated_inference"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        self.extract(plan, &config.options())
    }
}

/// The first number that no column of `plan` has in its name: a user may have named one so, and parts of the plan may
/// have been analyzed before.
fn first_free_column(plan: &LogicalPlan) -> Result<usize> {
    let mut last = 0;
    plan.apply_with_subqueries(|node| {
        let numbers = node.schema().fields().iter().filter_map(|field| column_number(field.name()));
        last = numbers.fold(last, usize::max);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(last + 1)
}
