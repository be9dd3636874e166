//! What calls within the expressions of one query infer: those in branches of CASE, bodies of lambdas.
//!
//! ```text
//!  ExpressionMetrics ─ in the settings that the query is planned with ─► functions in its plan, which count as they run
//!                                                                                   │
//!  accounts ◄───────────────────────────── found in the plan ◄──────────────────────┘
//! ```
//!
//! Expressions have no metrics of their own, and know nothing of the query that evaluates them but its settings.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};

use super::InferMetrics;
use crate::config::unlisted_setting;
use crate::model::runtime::Model;

/// The metrics of one query. Cloning is cheap; clones are of the same query.
#[derive(Clone, Default)]
pub(crate) struct ExpressionMetrics {
    set: ExecutionPlanMetricsSet,
    /// Set by the first call.
    metrics: Arc<OnceLock<InferMetrics>>,
}

impl ExpressionMetrics {
    /// Lets the query that `state` plans next, and no other, count what its expressions infer.
    pub(crate) fn begin(state: &mut SessionState) {
        state.config_mut().options_mut().extensions.insert(Self::default());
        // Expressions get their settings from here, as of when the DataFrame was created.
        state.execution_props_mut().config_options = Some(Arc::clone(state.config_options()));
    }

    /// What the calls of the query with these settings count in, which nobody sees unless it has [begun](Self::begin).
    pub(in crate::exec) fn of(config: &ConfigOptions) -> InferMetrics {
        let all = config.extensions.get::<Self>().cloned().unwrap_or_default();
        all.metrics.get_or_init(|| InferMetrics::new(&all.set, 0)).clone()
    }

    /// Those of the query with this plan.
    pub(crate) fn found_in(plan: &dyn ExecutionPlan) -> Option<Self> {
        let mut found = None;
        // Visiting gives no errors of its own.
        let _ = plan.apply_expressions(&mut |root| {
            root.apply(|expr| {
                if let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() {
                    found = found.take().or_else(|| function.config_options().extensions.get().cloned());
                }
                let is_found = found.is_some();
                Ok(if is_found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        });
        found.or_else(|| plan.children().into_iter().find_map(|child| Self::found_in(child.as_ref())))
    }

    /// The models that ran.
    pub(crate) fn models(&self) -> Vec<Arc<Model>> {
        self.metrics.get().map(InferMetrics::models).unwrap_or_default()
    }

    pub(crate) fn metrics(&self) -> MetricsSet {
        self.set.clone_inner()
    }
}

impl fmt::Debug for ExpressionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpressionMetrics").finish_non_exhaustive()
    }
}

unlisted_setting!(ExpressionMetrics, "inference_expressions");
