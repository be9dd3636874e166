//! Decoding takes much of the time: the images are far larger than the models need.

use datafusion::logical_expr::{ident, lit};
use datafusion::physical_expr::expressions::Column;

use super::sizes::Candidate;
use crate::Result;
use crate::advise::evidence::{Case, Change, Trials, megabytes, percent};
use crate::functions::thumbnail;

/// Decoding is worth a trial from this share of the workers' work on.
const NOTABLE: f64 = 0.3;

/// Pixels of a side of the model's input, of which a smaller image has a multiple.
const UNIT: u32 = 64;

/// The query's images made smaller, to about twice what its models take.
///
/// # Errors
/// Those of making images smaller.
pub(in crate::advise) async fn smaller_images(
    case: &Case<'_>,
    trials: &Trials<'_>,
) -> Result<Option<(Candidate, Change)>> {
    let (stages, workers) = (&case.accounts().stages, &case.accounts().workers);
    let share = stages.decode.busy_seconds / workers.busy_seconds.max(1e-9);
    let inputs = trials.infer.models().filter_map(|model| model.spec().image());
    let side = inputs.map(|image| image.input.width.max(image.input.height)).max();
    let (Some(side), Some(column)) = (side.filter(|_| share >= NOTABLE), image_column(trials)) else {
        return Ok(None);
    };
    let side = (2 * side).next_multiple_of(UNIT);
    let rows = case.context.read_batches(trials.batches.iter().cloned())?;
    let small = rows.with_column(&column, thumbnail(ident(&column), lit(i64::from(side))))?;
    let order = trials.schema.fields().iter().map(|field| ident(field.name())).collect::<Vec<_>>();
    let batches = small.select(order)?.collect().await?;
    let bytes = stages.decode.bytes as f64 / stages.decode.rows.max(1) as f64;
    let candidate = Candidate {
        cause: "decode",
        finding: format!("decoding takes {} of the workers' work", percent(share)),
        evidence: format!(
            "{:.1} ms an image of {}",
            stages.decode.busy_seconds * 1e3 / stages.decode.rows.max(1) as f64,
            megabytes(bytes)
        ),
        change: format!(
            "keep smaller images for such queries: COPY (SELECT path, thumbnail({column}, {side}) AS {column} FROM …) TO \
             'small.parquet'; predictions are then those of the smaller images"
        ),
    };
    Ok(Some((candidate, Change { batches, ..trials.unchanged() })))
}

/// The column that all calls take their image from, if it is a column of its own.
fn image_column(trials: &Trials<'_>) -> Option<String> {
    let inputs = trials.infer.calls().iter().flat_map(|call| &call.inputs);
    let mut names = inputs.filter_map(|input| Some(input.downcast_ref::<Column>()?.name().to_owned()));
    let first = names.next()?;
    let is_only = names.all(|name| name == first);
    (is_only && trials.infer.has_images()).then_some(first)
}
