//! The session's memory limit: what it refuses, measured by a run with a higher one.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryLimit};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use crate::advise::evidence::{Case, Finding, Measured, megabytes, percent};
use crate::{Error, Result};

/// The limit of the other run, in multiples of the session's.
const HIGHER: usize = 4;

/// Waiting for memory is worth another run from this share of the workers' time on.
const NOTABLE: f64 = 0.01;

/// A limit that makes sorts spill, or workers wait for memory or take fewer images at a time.
///
/// # Errors
/// Those of the query.
pub(in crate::advise) async fn refused_memory(
    case: &Case<'_>,
    observe: &mut impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<Option<Finding>> {
    let accounts = case.accounts();
    let (memory, workers) = (&accounts.memory, &accounts.workers);
    let Some((limit, higher)) = limits(case.context) else { return Ok(None) };
    let waited = memory.wait_seconds / workers.seconds.max(1e-9);
    let failed = accounts.query.failed_rows;
    let is_refused = memory.spilled_bytes > 0 || memory.shrunk_morsels > 0 || failed > 0 || waited >= NOTABLE;
    if !is_refused {
        return Ok(None);
    }
    let task = with_limit(case.context, higher);
    let other = Measured::run(case.context, task, case.plan, case.most, observe).await?;
    let gain = other.rate() / case.measured.rate().max(1e-9);
    let spilled = memory.spilled_bytes > 0;
    let finding = if spilled {
        format!(
            "a sort or aggregate has too little memory and writes {} to disk",
            megabytes(memory.spilled_bytes as f64)
        )
    } else {
        format!("the memory limit of {} is too small", megabytes(limit as f64))
    };
    let higher = higher >> 20;
    Ok(Some(Finding {
        cause: if spilled { "sort" } else { "memory" },
        finding,
        evidence: format!(
            "workers waited for memory {} of their time, {} morsels had too little; a run with {higher} MiB was {gain:.2} × \
             as fast",
            percent(waited),
            memory.shrunk_morsels
        ),
        gain: Some(gain),
        change: Some(format!("--memory-limit {higher}MB")),
    }))
}

/// For a query that failed with `error`: what more memory would do, and the run that had it.
///
/// # Errors
/// `error`, if it is not about memory, or there is no more; those of the query.
pub(in crate::advise) async fn exhausted_memory(
    context: &SessionContext,
    plan: &LogicalPlan,
    most: Option<u64>,
    error: Error,
    observe: &mut impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<(Finding, Measured)> {
    let reason = match &error {
        Error::DataFusion(error) => match error.find_root() {
            DataFusionError::ResourcesExhausted(reason) => reason.lines().last().map(str::to_owned),
            _ => None,
        },
        _ => None,
    };
    let (Some(reason), Some((limit, higher))) = (reason, limits(context)) else { return Err(error) };
    let other = Measured::run(context, with_limit(context, higher), plan, most, observe).await?;
    let finding = Finding {
        cause: "memory",
        finding: format!("the query fails: the memory limit of {} is too small", megabytes(limit as f64)),
        evidence: format!("{reason}; with {} MiB it runs", higher >> 20),
        gain: None,
        change: Some(format!("--memory-limit {}MB", higher >> 20)),
    };
    Ok((finding, other))
}

/// The session's limit, and a higher one that the machine could give.
fn limits(context: &SessionContext) -> Option<(usize, usize)> {
    let MemoryLimit::Finite(limit) = context.runtime_env().memory_pool.memory_limit() else { return None };
    let higher = limit.saturating_mul(HIGHER);
    let is_there = available_bytes().is_none_or(|available| available >= higher as u64);
    is_there.then_some((limit, higher))
}

/// The session's context with another memory limit.
fn with_limit(context: &SessionContext, limit: usize) -> Arc<TaskContext> {
    let memory_pool = Arc::new(FairSpillPool::new(limit));
    let runtime = RuntimeEnv { memory_pool, ..RuntimeEnv::clone(&context.runtime_env()) };
    Arc::new(TaskContext::from(&context.state()).with_runtime(Arc::new(runtime)))
}

/// The memory that the system could still give, where it tells.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}
