//! A model takes batches of a fixed size, and gets fewer rows at a time.

use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::advise::evidence::{Case, Demand, Finding, percent};
use crate::exec::InferExchangeExec;

/// Batches of which many rows are padding.
pub(in crate::advise) fn padded_batches(case: &Case<'_>) -> Option<Finding> {
    let accounts = case.accounts();
    let model = accounts.models.iter().max_by_key(|model| model.padded_rows)?;
    let (fixed, padded) = (model.fixed_batch?, model.padded_rows as f64);
    let share = padded / (padded + model.rows as f64).max(1.0);
    let saved = model.run_seconds * share;
    let workers = accounts.workers.busy_seconds.max(1e-9);
    let demand = Demand {
        workers: (1.0 - saved / workers).max(0.0),
        cores: 1.0 - case.share_of_cores(saved * model.num_cpus as f64),
        ..Demand::SAME
    };
    let inputs = case.measured.inference().iter().map(|infer| inputs(infer.input.as_ref())).max()?;
    let change = if inputs > 1 {
        format!(
            "read the rows by one scan, such as FROM read_images('photos/*.jpg'), in the place of {inputs} inputs; or \
             export the model with a batch of any size"
        )
    } else {
        "export the model with a batch of any size".to_owned()
    };
    Some(Finding {
        cause: "padding",
        finding: format!(
            "'{}' takes batches of {fixed} and gets {:.1} rows a batch",
            model.name, model.rows_a_batch
        ),
        evidence: format!(
            "{} of the rows that it ran on, {} of {}, were padding",
            percent(share),
            model.padded_rows,
            model.padded_rows + model.rows
        ),
        gain: Some(case.load.gain(demand)),
        change: Some(change),
    })
}

/// The inputs whose rows are batched apart from each other.
fn inputs(below: &dyn ExecutionPlan) -> usize {
    match below.downcast_ref::<InferExchangeExec>() {
        Some(exchange) => {
            exchange.children().first().map_or(1, |input| input.output_partitioning().partition_count())
        }
        None => below.output_partitioning().partition_count(),
    }
}
