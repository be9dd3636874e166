//! Carries out `ADVISE`.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::causes::{
    Candidate, exhausted_memory, filter_below, image_column, padded_batches, refused_memory, row_groups,
    sizes, slow_source, smaller_images, text_of_lists, twins,
};
use super::evidence::{Case, Demand, Finding, LEAST_GAIN, Load, Measured, Trials, percent, shares, table};
use crate::Result;
use crate::model::ModelRegistry;

/// Runs `plan`, to its end or until models ran on `most` rows, and gives what was found, most valuable first; the last
/// row is where the time went. `observe` gets each plan before it runs.
///
/// # Errors
/// Those of the query.
pub(crate) async fn advise(
    context: &SessionContext,
    models: &ModelRegistry,
    plan: LogicalPlan,
    most: Option<u64>,
    mut observe: impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<RecordBatch> {
    let mut findings = vec![];
    let measured = match Measured::run(context, context.task_ctx(), &plan, most, &mut observe).await {
        Ok(measured) => measured,
        Err(error) => {
            let (finding, measured) = exhausted_memory(context, &plan, most, error, &mut observe).await?;
            findings.push(finding);
            measured
        }
    };
    let (load, optimized) = (Load::of(&measured.accounts), context.state().optimize(&plan)?);
    let (plan, optimized, measured) = (&plan, &optimized, &measured);
    let case = Case { context, models, plan, optimized, measured, load, most };
    let is_worth = |finding: &Finding| finding.gain.is_some_and(|gain| gain >= LEAST_GAIN);
    if !findings.is_empty() {
        // What else there is to gain is seen when the query runs.
        findings.push(conclusion(&case, false));
        return table(&findings);
    }
    let first_group = row_groups(&case).await?.filter(is_worth);
    // Workers that wait for the first row group starve of that.
    findings.extend(first_group.or_else(|| slow_source(&case)));
    findings.extend(padded_batches(&case));
    findings.extend(filter_below(&case).await?);
    findings.extend(image_column(&case, &mut observe).await?);
    match refused_memory(&case, &mut observe).await?.filter(is_worth) {
        Some(refused) => findings.push(refused),
        // With too little memory, trials would show that once more.
        None => findings.extend(tried(&case).await?),
    }
    findings.retain(is_worth);
    // Smaller files are worth a change too.
    findings.extend(text_of_lists(&case));
    findings.sort_by(|one, other| other.gain.unwrap_or(0.0).total_cmp(&one.gain.unwrap_or(0.0)));
    findings.push(conclusion(&case, findings.is_empty()));
    table(&findings)
}

/// What gains most of each cause, of the changes to inference that are tried on the query's rows.
async fn tried(case: &Case<'_>) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = vec![];
    if case.load.fullest().0 != "inference" {
        return Ok(findings);
    }
    for infer in case.measured.inference() {
        let Some(trials) = Trials::new(case.context, case.measured, infer).await? else { continue };
        let mut candidates = sizes(&trials)?;
        candidates.extend(twins(case, &trials));
        candidates.extend(smaller_images(case, &trials).await?);
        let (candidates, changes): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
        let ratios = trials.compare(&changes).await?;
        let rows: usize = trials.batches.iter().map(RecordBatch::num_rows).sum();
        for (candidate, ratio) in candidates.into_iter().zip(ratios) {
            let finding = finding_of(candidate, ratio, rows, case);
            match findings.iter_mut().find(|known| known.cause == finding.cause) {
                Some(known) if known.gain >= finding.gain => {}
                Some(known) => *known = finding,
                None => findings.push(finding),
            }
        }
    }
    Ok(findings)
}

fn finding_of(candidate: Candidate, ratio: f64, rows: usize, case: &Case<'_>) -> Finding {
    let Candidate { cause, finding, evidence, change } = candidate;
    let inferring = case.share_of_cores(case.accounts().inference_core_seconds());
    let less = 1.0 / ratio.max(1e-3);
    let demand = Demand { workers: less, cores: 1.0 - inferring + inferring * less, ..Demand::SAME };
    let tried = format!("in trials on {rows} of its rows, inference is {ratio:.2} × as fast then");
    Finding {
        cause,
        finding,
        evidence: if evidence.is_empty() { tried } else { format!("{evidence}; {tried}") },
        gain: Some(case.load.gain(demand)),
        change: Some(change),
    }
}

/// Where the time went, and that there is nothing to gain if nothing was found.
fn conclusion(case: &Case<'_>, is_alone: bool) -> Finding {
    let accounts = case.accounts();
    let (resource, share) = case.load.fullest();
    let limits = format!("{resource} sets the pace: {} of what it can do", percent(share));
    Finding {
        cause: if is_alone { "nothing" } else { "limit" },
        finding: if is_alone { format!("nothing to gain; {limits}") } else { limits },
        evidence: shares(accounts, case.measured.rows),
        gain: None,
        change: None,
    }
}
