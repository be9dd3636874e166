//! A query, its run, and what that says of its resources.

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::load::Load;
use super::measured::Measured;
use crate::accounts::Accounts;
use crate::model::ModelRegistry;

/// What a query is, and what its run showed.
pub(in crate::advise) struct Case<'a> {
    pub(in crate::advise) context: &'a SessionContext,
    pub(in crate::advise) models: &'a ModelRegistry,
    /// As it was planned, and as DataFusion's optimizer left it.
    pub(in crate::advise) plan: &'a LogicalPlan,
    pub(in crate::advise) optimized: &'a LogicalPlan,
    pub(in crate::advise) measured: &'a Measured,
    pub(in crate::advise) load: Load,
    /// The number of rows after which the run ended, if it was given.
    pub(in crate::advise) most: Option<u64>,
}

impl Case<'_> {
    pub(in crate::advise) fn accounts(&self) -> &Accounts {
        &self.measured.accounts
    }

    /// The share of the cores' work that `seconds` of it are.
    pub(in crate::advise) fn share_of_cores(&self, seconds: f64) -> f64 {
        let all = self.accounts().core_seconds().max(self.accounts().query.cpu_seconds);
        (seconds / all.max(1e-9)).clamp(0.0, 1.0)
    }
}
