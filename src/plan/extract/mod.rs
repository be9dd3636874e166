//! The analyzer rule that extracts inference calls from expressions.
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
//! The rewrite goes from the leaves to the root and tracks, for each node, the calls that its input *carries* in hidden
//! columns. A carried call is replaced by its column; any other gets an `Infer` node directly below the node it occurs
//! in. Hidden columns are passed up as long as the call's inputs are visible, so that the same call in SELECT and in
//! WHERE, in two nodes, runs once; DataFusion prunes unread ones. Nodes whose schema matters (UNION, DISTINCT,
//! subqueries, the root) get it restored by a projection.
//!
//! Calls that no row-by-row operator below could run stay in place and are run by the function itself: in branches of
//! CASE and COALESCE that may not be taken, in lambdas, and over subqueries.
//!
//! DataFusion turns correlated subqueries into joins, but not through unknown nodes. Calls above a reference to an
//! outer query therefore stay too, and the rule runs again as an optimizer rule, right after decorrelation.

mod calls;
mod functions;
mod nodes;
mod share;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{AnalyzerRule, Optimizer, OptimizerConfig, OptimizerRule};

use crate::config::InferenceOptions;
#[cfg(feature = "cluster")]
use crate::config::NamedRows;
use crate::exec::RowRecord;
use crate::model::ModelRegistry;
use crate::write::{ERRORS, RESUMABLE};
use calls::column_number;
use functions::ErrorImages;
use nodes::Extraction;

/// DataFusion's optimizer rule after which no subquery refers to an outer query.
const LAST_DECORRELATION: &str = "decorrelate_lateral_join";

/// Replaces inference calls by columns of `Infer` nodes: an analyzer rule, and an optimizer rule for the calls that the
/// analyzer had to leave.
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

    /// Inserts the rule after DataFusion's decorrelation rules, or first if these are not found.
    pub fn insert_into(self: Arc<Self>, optimizer: &mut Optimizer) {
        let after = optimizer.rules.iter().position(|rule| rule.name() == LAST_DECORRELATION);
        optimizer.rules.insert(after.map_or(0, |position| position + 1), self);
    }

    fn extract(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<Transformed<LogicalPlan>> {
        let options = InferenceOptions::of(config);
        let next_column = first_free_column(&plan)?;
        let lists_errors = |node: &LogicalPlan| match node {
            LogicalPlan::Copy(copy) => {
                Ok([ERRORS].iter().chain(&RESUMABLE).any(|option| copy.options.contains_key(*option)))
            }
            _ => Ok(false),
        };
        let is_recorded = RowRecord::of(config).is_some() || plan.exists(lists_errors)?;
        #[cfg(feature = "cluster")]
        let is_recorded = is_recorded || config.extensions.get::<NamedRows>().is_some();
        let error_images = ErrorImages::of(&plan)?;
        let mut extraction = Extraction {
            models: &self.models,
            options: &options,
            error_images: &error_images,
            is_recorded,
            next_column,
            changed: false,
        };
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

/// The number after the largest in the column names of `plan`: a user may have chosen such a name, and parts of the
/// plan may have been analyzed before.
fn first_free_column(plan: &LogicalPlan) -> Result<usize> {
    let mut last = 0;
    plan.apply_with_subqueries(|node| {
        let numbers = node.schema().fields().iter().filter_map(|field| column_number(field.name()));
        last = numbers.fold(last, usize::max);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(last + 1)
}
