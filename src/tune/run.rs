//! Carries out `TUNE MODEL`.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::grid::{Fixed, choice, choices};
use super::interval::interval;
use super::options::TuneOptions;
use super::rows::{IMAGE_ROWS, NUMBER_ROWS, Rows};
use super::search::Search;
use super::statement::TuneModel;
use super::trial::Workload;
use crate::model::ModelRegistry;
use crate::model::runtime::{Choice, Tuning, Tunings};
use crate::{Error, Result};

/// Checks a statement before its query runs.
///
/// # Errors
/// An unknown model, an option that is unknown or malformed, a runtime that is not installed.
pub(crate) fn check(models: &ModelRegistry, statement: &TuneModel) -> Result<()> {
    TuneOptions::of(&statement.name, &statement.options)?;
    models.get(&statement.name)?.provider().map(|_| ())
}

/// What TUNE chose for a model last, in a line.
pub(crate) fn summary(models: &ModelRegistry, model: &str) -> Option<String> {
    let key = models.get(model).ok()?.tuning_key().ok()??;
    let tuning = Tunings::in_home(models.home()).of(&key)?;
    let Tuning {
        chosen: Choice { batch_size, concurrency, num_cpus }, gain: [gain, low, high], metric, ..
    } = &tuning;
    let chosen = format!("batch_size {batch_size}, concurrency {concurrency}, num_cpus {num_cpus}");
    Some(if tuning.chosen == tuning.default {
        format!("tuned: nothing to gain, {chosen} is best")
    } else {
        format!("tuned: {chosen}, {gain:.2} × the default's {metric} ({low:.2} to {high:.2})")
    })
}

/// Finds the best configuration of a model on `batches`, which the statement's query gave, and keeps it in the home
/// after every round. `observe` gets the plan of each trial before it runs.
///
/// # Errors
/// Options that are unknown or malformed, no rows, rows that the model can't take, a model that can't be loaded, a home
/// that can't be written.
pub(crate) async fn tune(
    context: &SessionContext,
    models: &ModelRegistry,
    statement: &TuneModel,
    (schema, batches): (SchemaRef, Vec<RecordBatch>),
    observe: impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<Tuning> {
    let options = TuneOptions::of(&statement.name, &statement.options)?;
    let model = models.get(&statement.name)?;
    let error = |reason: &str| Error::Model { model: statement.name.clone(), reason: reason.to_owned() };
    let has_image = model.spec().image().is_some();
    let batch_rows = if has_image { IMAGE_ROWS } else { NUMBER_ROWS };
    let rows = Rows::new(Arc::clone(&schema), &batches, batch_rows);
    if rows.count == 0 {
        return Err(error("the query of USING gives no rows"));
    }
    let key = model.tuning_key()?.ok_or_else(|| {
        error("the version of ONNX Runtime is unknown, which a tuning depends on; `make setup` installs one")
    })?;
    // What `auto` is without an earlier TUNE.
    let default = model.untuned_sizing()?;
    let resources = &model.spec().resources;
    let fixed = Fixed {
        batch_size: model.fixed_batch()?.or(resources.batch_size),
        concurrency: resources.concurrency.map(|(_, most)| most),
        num_cpus: resources.num_cpus,
    };
    let cores = available_parallelism().map_or(1, usize::from);
    let workload = Workload::new(context, &model, &rows, schema, observe)?;
    let mut search = Search::new(&workload, options, &model, choices(default, fixed, has_image, cores));
    let tunings = Tunings::in_home(models.home());
    let tuning = |search: &Search<'_, _>| {
        let best = &search.entrants[search.best()?];
        let is_default = best.choice == choice(default);
        Some(Tuning {
            model: model.spec().name.clone(),
            key: key.clone(),
            metric: options.metric.to_string(),
            chosen: best.choice,
            default: choice(default),
            gain: interval(&best.ratios).filter(|_| !is_default).unwrap_or([1.0; 3]),
            at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            trials: search.trials(),
        })
    };
    search.run(|search| tuning(search).map_or(Ok(()), |tuning| tunings.put(tuning))).await?;
    let tuning = tuning(&search).ok_or_else(|| {
        error(
            "the device refuses every batch size that was tried, the default too; give a smaller batch_size",
        )
    })?;
    models.renew(Some(&model.spec().sha256));
    Ok(tuning)
}
