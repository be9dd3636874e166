//! Lists of numbers, such as embeddings, become text.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::advise::evidence::{Case, Demand, Finding, LEAST_GAIN, megabytes, percent};

/// Files that are larger by this factor are worth a finding, whatever the time.
const LARGER: f64 = 1.5;

/// Bytes of a number in a list.
const NUMBER_BYTES: f64 = 4.0;

/// Lists that are written as text, by a cast or by a format that has no lists.
pub(in crate::advise) fn text_of_lists(case: &Case<'_>) -> Option<Finding> {
    let (mut seconds, mut numbers) = (0.0, 0);
    case.measured.visit(|plan| {
        let time = |name| {
            let value = plan.metrics().and_then(|metrics| metrics.sum_by_name(name));
            value.map_or(0.0, |value| value.as_usize() as f64 / 1e9)
        };
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let schema = projection.input().schema();
            let lists: usize =
                projection.expr().iter().map(|column| numbers_as_text(&column.expr, &schema)).sum();
            if lists > 0 {
                numbers += lists;
                let metrics = plan.metrics();
                let compute = metrics.and_then(|metrics| metrics.elapsed_compute()).unwrap_or_default();
                seconds += compute as f64 / 1e9;
            }
        } else if let Some(sink) = plan.downcast_ref::<DataSinkExec>() {
            let converted = time("convert_time");
            if converted > 0.0 {
                seconds += converted;
                let input = sink.input().schema();
                numbers += input.fields().iter().map(|field| length(field.data_type())).sum::<usize>();
            }
        }
    });
    let write = &case.accounts().stages.write;
    let vectors = NUMBER_BYTES * numbers as f64 * write.rows as f64;
    let is_larger = write.bytes as f64 > LARGER * vectors;
    if seconds == 0.0 || numbers == 0 {
        return None;
    }
    let less = if write.bytes > 0 { (vectors / write.bytes as f64).min(1.0) } else { 1.0 };
    let saved = seconds + write.busy_seconds * (1.0 - less);
    let share = case.share_of_cores(saved);
    let demand = Demand { cores: 1.0 - share, write: less, ..Demand::SAME };
    let written = match write.bytes {
        0 => String::new(),
        bytes => format!("; {} written, {} as numbers", megabytes(bytes as f64), megabytes(vectors)),
    };
    let gain = case.load.gain(demand);
    (gain >= LEAST_GAIN || is_larger).then(|| Finding {
        cause: "text",
        finding: format!("lists of {numbers} numbers are turned into text"),
        evidence: format!("{seconds:.2} s, {} of the cores' work with writing it{written}", percent(share)),
        gain: Some(gain),
        change: Some("keep the list and write it to Parquet: COPY … TO '….parquet'".to_owned()),
    })
}

/// The numbers of lists that `expr` turns into text.
fn numbers_as_text(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> usize {
    let mut numbers = 0;
    // The closure can't fail.
    let _ = expr.apply(|expr| {
        let call = expr.downcast_ref::<ScalarFunctionExpr>().filter(|call| call.name() == "array_to_string");
        let from = match (expr.downcast_ref::<CastExpr>(), call) {
            (Some(cast), _) => Some(cast.expr()),
            (None, Some(call)) => call.args().first(),
            (None, None) => None,
        };
        if let Some(from) = from.and_then(|from| from.data_type(schema).ok())
            && expr.data_type(schema).is_ok_and(|to| to.is_string())
        {
            numbers += length(&from);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    numbers
}

/// The numbers of a list of fixed length; 1 for other lists, 0 for what is none.
fn length(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeList(item, length) if item.data_type().is_numeric() => {
            usize::try_from(*length).unwrap_or(1)
        }
        DataType::List(item) | DataType::LargeList(item) if item.data_type().is_numeric() => 1,
        _ => 0,
    }
}
