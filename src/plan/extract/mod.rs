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
//! passed on as far up as the image they answer for is visible, so that the same call in SELECT and in WHERE, in two
//! nodes, runs once; where nobody reads them, DataFusion prunes them. Nodes whose schema means something
//! (UNION, DISTINCT, subqueries, the root) get it restored by a projection.
//!
//! Calls stay in their place, to be run by the function itself, where no row-by-row operator below could answer them:
//! in branches of CASE and COALESCE that may not be taken, in lambdas, and over subqueries or outer columns.

mod calls;
mod nodes;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;

use super::node::as_infer;
use crate::config::InferenceOptions;
use crate::models::ModelRegistry;
use nodes::Extraction;

/// Replaces inference calls by columns of `Infer` nodes.
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
}

impl AnalyzerRule for ExtractInference {
    fn name(&self) -> &'static str {
        "extract_inference"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let options = InferenceOptions::of(config);
        let next_column = first_free_column(&plan)?;
        Extraction {
            models: &self.models,
            default_model: &options.default_model,
            next_column,
        }
        .complete(plan)
    }
}

/// Number of the first column name that no `Infer` node of `plan` has: parts of it may have been analyzed before.
fn first_free_column(plan: &LogicalPlan) -> Result<usize> {
    let mut columns = 0;
    plan.apply_with_subqueries(|node| {
        columns += as_infer(node).map_or(0, |infer| infer.calls().len());
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns + 1)
}
