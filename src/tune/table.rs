//! Tunings and trials as tables: `TUNE MODEL`, `SHOW TUNING`, and `tuning_trials()`.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampSecondArray, UInt64Array,
};
use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{DocSection, Documentation, Expr};

use crate::Result;
use crate::model::ModelRegistry;
use crate::model::runtime::{Choice, Trial, Tuning, Tunings, Variant};

/// Name of the table function over trials.
pub(crate) const TUNING_TRIALS: &str = "tuning_trials";

/// One row per tuning: what was chosen, for what, and what it gains.
pub(crate) fn tunings_table(tunings: &[Tuning]) -> Result<RecordBatch> {
    let text = |text: fn(&Tuning) -> &str| strings(tunings.iter().map(text));
    let gain = |number: usize| floats(tunings.iter().map(|tuning| Some(rounded(tuning.gain[number], 1e3))));
    let times = TimestampSecondArray::from_iter_values(tunings.iter().map(|tuning| tuning.at.cast_signed()));
    let mut columns = vec![("model", text(|tuning| &tuning.model))];
    columns.extend(variants(&tunings.iter().map(|tuning| &tuning.variant).collect::<Vec<_>>()));
    columns.extend(choices(&tunings.iter().map(|tuning| Some(tuning.chosen)).collect::<Vec<_>>()));
    columns.extend([
        ("agreement", floats(tunings.iter().map(|tuning| tuning.agreement.map(|share| rounded(share, 1e4))))),
        ("metric", text(|tuning| &tuning.metric)),
        ("gain", gain(0)),
        ("gain_low", gain(1)),
        ("gain_high", gain(2)),
        ("for_device", text(|tuning| &tuning.key.device)),
        ("for_precision", text(|tuning| &tuning.key.precision)),
        ("runtime", text(|tuning| &tuning.key.runtime)),
        ("machine", text(|tuning| &tuning.key.machine)),
        ("tuned", Arc::new(times) as ArrayRef),
    ]);
    batch(columns)
}

/// One row per trial, fastest first.
pub(crate) fn trials_table(tunings: &[Tuning]) -> Result<RecordBatch> {
    let mut trials: Vec<(&Tuning, &Trial)> =
        tunings.iter().flat_map(|tuning| tuning.trials.iter().map(move |trial| (tuning, trial))).collect();
    let rate = |trial: &Trial| trial.rate.map_or(0.0, |[rate, ..]| rate);
    trials.sort_by(|(a, one), (b, other)| {
        (&a.model, a.at).cmp(&(&b.model, b.at)).then(rate(other).total_cmp(&rate(one)))
    });
    let number = |number: fn(&Trial) -> Option<f64>| {
        floats(trials.iter().map(|(_, trial)| number(trial).map(|number| rounded(number, 1e2))))
    };
    let runs = trials.iter().map(|(_, trial)| trial.runs as u64);
    let memory: UInt64Array = trials.iter().map(|(_, trial)| trial.memory_bytes).collect();
    let mut columns = vec![("model", strings(trials.iter().map(|(tuning, _)| tuning.model.as_str())))];
    columns.extend(variants(&trials.iter().map(|(_, trial)| &trial.variant).collect::<Vec<_>>()));
    columns.extend(choices(&trials.iter().map(|(_, trial)| trial.choice).collect::<Vec<_>>()));
    columns.extend([
        ("rows_per_second", number(|trial| trial.rate.map(|rate| rate[0]))),
        ("low", number(|trial| trial.rate.map(|rate| rate[1]))),
        ("high", number(|trial| trial.rate.map(|rate| rate[2]))),
        ("p50_ms", number(|trial| trial.latency.map(|latency| latency[0] * 1e3))),
        ("p95_ms", number(|trial| trial.latency.map(|latency| latency[1] * 1e3))),
        ("memory_bytes", Arc::new(memory) as ArrayRef),
        ("device_use", number(|trial| trial.device_use)),
        (
            "agreement",
            floats(trials.iter().map(|(_, trial)| trial.agreement.map(|share| rounded(share, 1e4)))),
        ),
        ("runs", Arc::new(UInt64Array::from_iter_values(runs)) as ArrayRef),
        ("outcome", strings(trials.iter().map(|(_, trial)| trial.outcome.as_str()))),
    ]);
    batch(columns)
}

fn choices(choices: &[Option<Choice>]) -> [(&'static str, ArrayRef); 4] {
    let column = |count: fn(Choice) -> Option<usize>| {
        let counts = choices.iter().map(|choice| choice.and_then(count).map(|count| count as u64));
        Arc::new(counts.collect::<UInt64Array>()) as ArrayRef
    };
    [
        ("batch_size", column(|choice| Some(choice.batch_size))),
        ("concurrency", column(|choice| Some(choice.concurrency))),
        ("num_cpus", column(|choice| Some(choice.num_cpus))),
        ("morsel_rows", column(|choice| choice.morsel_rows)),
    ]
}

fn variants(variants: &[&Variant]) -> [(&'static str, ArrayRef); 2] {
    [
        ("device", strings(variants.iter().map(|variant| variant.device.as_str()))),
        ("precision", strings(variants.iter().map(|variant| variant.precision.as_str()))),
    ]
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

fn floats(numbers: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(numbers.collect::<Float64Array>())
}

/// `number` without the digits that mean nothing; `parts` is 100 for two decimals.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

fn batch(columns: Vec<(&'static str, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?)
}

/// The table function `tuning_trials([model])`: what TUNE tried, of one model or of all.
#[derive(Debug)]
pub(crate) struct TuningTrials(pub(crate) Arc<ModelRegistry>);

impl TableFunctionImpl for TuningTrials {
    /// # Errors
    /// A planning error if the argument is not one string.
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> DataFusionResult<Arc<dyn TableProvider>> {
        let model = match args.exprs() {
            [] => None,
            [Expr::Literal(value, _)] if value.try_as_str().flatten().is_some() => {
                value.try_as_str().flatten()
            }
            _ => {
                return plan_err!(
                    "{TUNING_TRIALS} takes the name of a model, or nothing: {TUNING_TRIALS}('resnet')"
                );
            }
        };
        let mut tunings = Tunings::in_home(self.0.home()).all();
        tunings.retain(|tuning| model.is_none_or(|model| tuning.model == model));
        let trials = trials_table(&tunings)?;
        Ok(Arc::new(MemTable::try_new(trials.schema(), vec![vec![trials]])?))
    }
}

/// The documentation of `tuning_trials`, which DataFusion's lists of functions have no place for.
pub(crate) fn tuning_trials_documentation() -> Documentation {
    let section = DocSection { include: true, label: "Inference Functions", description: None };
    Documentation::builder(
        section,
        "What `TUNE MODEL` tried, a row for each configuration, fastest first.",
        "tuning_trials([model])",
    )
    .with_argument("model", "The name of a model, a literal; all models without it.")
    .with_sql_example("SELECT batch_size, concurrency, rows_per_second FROM tuning_trials('resnet');")
    .build()
}
