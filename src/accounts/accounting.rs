//! The accounts of a query while it runs and afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use datafusion::physical_plan::ExecutionPlan;

use super::account::{Accounts, QueryAccount};
use super::plan;
use super::process::Usage;
use crate::exec::ExpressionMetrics;
use crate::model::runtime::{Machine, RunHistogram};

/// Keeps the accounts of one query. Cloning is cheap; clones are about the same query, during its run and after it.
///
/// [`Query::accounting`](crate::Query::accounting) gives that of a running query.
///
/// ```no_run
/// use futures::TryStreamExt;
/// use seequel::{Engine, Query};
///
/// # async fn example(engine: Engine) -> seequel::Result<()> {
/// let labels = engine.sql("SELECT path, classify(image)['label'] FROM read_images('photos/')").await?;
/// let query = Query::try_new(labels).await?;
/// let accounting = query.accounting();
/// let batches: Vec<_> = query.try_collect().await?;
/// let accounts = accounting.accounts();
/// for (stage, account) in accounts.stages.named() {
///     println!("{stage}: {} rows, {:.1} s busy", account.rows, account.busy_seconds);
/// }
/// for model in &accounts.models {
///     println!("{}: {:.1} rows a batch, p95 {:?} s", model.name, model.rows_a_batch, model.p95_seconds);
/// }
/// println!("{:.0} % of {} cores", accounts.query.cpu_share * 100.0, accounts.query.cores);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Accounting {
    plan: Arc<dyn ExecutionPlan>,
    expressions: Option<ExpressionMetrics>,
    period: Arc<Period>,
}

/// When the query began and ended, and what the process had used by then.
#[derive(Debug, Default)]
struct Period {
    began: OnceLock<(Instant, Usage)>,
    ended: OnceLock<(Instant, Usage)>,
}

impl Accounting {
    /// The accounting of a plan, which must be the very plan that is executed. Its time begins with [`Self::begin`].
    #[must_use]
    pub fn new(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let expressions = ExpressionMetrics::found_in(plan.as_ref());
        Self { plan: Arc::clone(plan), expressions, period: Arc::default() }
    }

    /// Begins the query's time; without effect if it has begun.
    pub fn begin(&self) {
        self.period.began.get_or_init(|| (Instant::now(), Usage::now()));
    }

    /// Ends the query's time; without effect if it has ended.
    pub fn end(&self) {
        self.period.ended.get_or_init(|| (Instant::now(), Usage::now()));
    }

    /// The runs of each model so far, by its name.
    pub(crate) fn runs(&self) -> BTreeMap<String, RunHistogram> {
        plan::runs(self.plan.as_ref(), self.expressions.as_ref())
    }

    /// The accounts so far.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        let mut accounts = plan::accounts(self.plan.as_ref(), self.expressions.as_ref());
        let (seconds, cpu_seconds, peak_memory_bytes) = self.period.read();
        let cores = Machine::cores();
        let cpu_share = if seconds > 0.0 { (cpu_seconds / seconds / cores as f64).min(1.0) } else { 0.0 };
        let QueryAccount { failed_rows, .. } = accounts.query;
        accounts.query =
            QueryAccount { seconds, cpu_seconds, cores, cpu_share, peak_memory_bytes, failed_rows };
        accounts
    }
}

impl Period {
    /// Seconds, processor seconds, and most bytes of memory.
    fn read(&self) -> (f64, f64, u64) {
        let (now, usage) = self.ended.get().copied().unwrap_or_else(|| (Instant::now(), Usage::now()));
        match self.began.get() {
            None => (0.0, 0.0, usage.peak_memory_bytes),
            Some((began, used)) => {
                let cpu = usage.cpu.saturating_sub(used.cpu);
                (now.duration_since(*began).as_secs_f64(), cpu.as_secs_f64(), usage.peak_memory_bytes)
            }
        }
    }
}

impl fmt::Debug for Accounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounting").field("plan", &self.plan.name()).field("period", &self.period).finish()
    }
}
