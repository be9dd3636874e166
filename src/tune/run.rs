//! Carries out `TUNE MODEL`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{iter, slice};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use itertools::Itertools;
use seequel_udfs::ImageArray;

use super::candidates::{Candidate, Candidates, MOST_IMAGES};
use super::entrant::{Entrant, Scope};
use super::grid::{Fixed, choices};
use super::options::TuneOptions;
use super::rows::{IMAGE_ROWS, NUMBER_ROWS, Rows};
use super::search::Search;
use super::statement::TuneModel;
use super::table::trials_table;
use super::trial::{Workload, image_column};
use crate::agreement::Samples;
use crate::config::InferenceOptions;
use crate::model::ModelRegistry;
use crate::model::runtime::{CancelOnDrop, Choice, Machine, Model, OPEN, Tuning, Tunings, Variant};
use crate::model::spec::Precision;
use crate::report::write_tuning_report;
use crate::{Error, Result};

/// Checks a statement before its query runs.
///
/// # Errors
/// An unknown model, an option that is unknown or malformed, a runtime that is not installed, a home that can't be
/// written.
pub(crate) fn check(models: &ModelRegistry, statement: &TuneModel) -> Result<()> {
    let options = TuneOptions::of(&statement.name, &statement.options)?;
    let model = models.get(&statement.name)?;
    model.provider()?;
    let spec = model.spec();
    if options.asks_for_others() && (spec.image().is_none() || spec.numbers().next().is_some()) {
        let reason =
            "devices and precisions are compared by the predictions for images, and it takes numbers";
        return Err(Error::Model { model: spec.name.clone(), reason: reason.to_owned() });
    }
    if model.tuning_key(model.untuned_provider()?, Scope::OWN.named(&Variant::default())).is_none() {
        let reason =
            "the version of ONNX Runtime is unknown, which a tuning depends on; `make setup` installs one";
        return Err(Error::Model { model: spec.name.clone(), reason: reason.to_owned() });
    }
    Tunings::in_home(models.home()).check_writable()
}

/// What TUNE chose for a model last, in a line.
pub(crate) fn summary(models: &ModelRegistry, name: &str) -> Option<String> {
    let model = models.get(name).ok()?;
    let mut tunings = Tunings::in_home(models.home()).all();
    tunings.retain(|tuning| tuning.key.sha256 == model.spec().sha256 && !tuning.trials.is_empty());
    let tuning = tunings.into_iter().max_by_key(|tuning| tuning.at)?;
    let Tuning { chosen, variant, default, gain: [gain, low, high], metric, .. } = &tuning;
    let Choice { batch_size, concurrency, num_cpus, morsel_rows } = chosen;
    let Variant { device, precision } = variant;
    let mut what = format!("batch_size {batch_size}, concurrency {concurrency}, num_cpus {num_cpus}");
    if let Some(rows) = morsel_rows {
        what += &format!(", morsels of {rows} rows");
    }
    if [&tuning.key.device, &tuning.key.precision].iter().any(|scope| *scope == OPEN) {
        what = format!("device {device}, precision {precision}, {what}");
    }
    if *gain == 1.0 && chosen == default {
        return Some(format!("tuned: nothing to gain, {what} is best"));
    }
    let agreement =
        tuning.agreement.map(|share| format!(", agreement {:.1} %", share * 100.0)).unwrap_or_default();
    let mut text =
        format!("tuned: {what}, {gain:.2} × the default's {metric} ({low:.2} to {high:.2}){agreement}");
    let own = model.spec().resources.precision;
    if own.resolved().to_string() != *precision && own != Precision::Auto {
        text += &format!("; '{name}' stays in {own}: a model with precision 'auto' uses {precision}");
    }
    Some(text)
}

/// Finds the best configuration of a model on `batches`, which the statement's query gave, and keeps it in the home
/// after every round. `observe` gets the plan of each trial before it runs.
///
/// # Errors
/// Options that are unknown or malformed, no rows, rows that the model can't take, a model that can't be loaded, a home
/// that can't be written.
pub(crate) async fn tune(
    context: &SessionContext,
    models: &Arc<ModelRegistry>,
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
    let workload = Workload::new(context, &model, &rows, Arc::clone(&schema), observe)?;
    let deadline = Instant::now() + options.budget;
    let candidates = {
        let max_pixels = InferenceOptions::of(context.state().config_options()).bounds.max_image_pixels;
        let samples = Samples::new(some_images(&schema, &batches)?, max_pixels);
        find_candidates(models, &model, &options, samples).await?
    };
    let own = candidates.usable[0].variant.clone();
    // What `auto` is without an earlier TUNE.
    let default = model.untuned_sizing()?.choice();
    let entrants = entrants(&candidates, default)?;
    let mut search = Search::new(&workload, &options, &candidates.usable, entrants, deadline);
    let tunings = Tunings::in_home(models.home());
    let outcome = |search: &Search<'_, _>, scope: Scope, is_widest: bool| {
        let number = search.best(scope)?;
        let best = &search.entrants[number];
        let candidate = &candidates.usable[best.candidate];
        let provider = candidate.model.untuned_provider().ok()?;
        Some(Tuning {
            model: model.spec().name.clone(),
            key: model.tuning_key(provider, scope.named(&own))?,
            metric: options.metric.to_string(),
            chosen: best.choice,
            variant: candidate.variant.clone(),
            twin: candidate.twin.clone(),
            agreement: candidate.agreement,
            default,
            gain: search.gain(number),
            at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            trials: if is_widest { search.trials(Some(number), &candidates.refused) } else { vec![] },
        })
    };
    let outcomes = |search: &Search<'_, _>| {
        let scopes = search.scopes();
        let widest = scopes.last().copied();
        let wanted = scopes
            .into_iter()
            .filter(|scope| *scope != Scope::OWN || candidates.is_own_asked_for || Some(*scope) == widest);
        wanted.filter_map(|scope| outcome(search, scope, Some(scope) == widest)).collect::<Vec<_>>()
    };
    search.run(|search| tunings.put(&outcomes(search))).await?;
    let tuning = outcomes(&search).pop().ok_or_else(|| {
        error(
            "the device refuses every batch size that was tried, the default too; give a smaller batch_size",
        )
    })?;
    models.renew(Some(&model.spec().sha256));
    if let Some(file) = &options.report {
        write_tuning_report(file, &tuning, &trials_table(slice::from_ref(&tuning))?)?;
    }
    Ok(tuning)
}

/// The configurations to try: the default first, then those of all candidates by turns, so that each has some if the
/// budget is spent early. Of one that must not be chosen, only its default, which shows what it would gain.
fn entrants(candidates: &Candidates, default: Choice) -> Result<Vec<Entrant>> {
    let cores = Machine::cores();
    let usable = &candidates.usable;
    let of_candidate = |(number, candidate): (usize, &Candidate)| {
        let (model, spec) = (&candidate.model, candidate.model.spec());
        let fixed = Fixed {
            batch_size: model.fixed_batch()?.or(spec.resources.batch_size),
            concurrency: spec.resources.concurrency.map(|(_, most)| most),
            num_cpus: spec.resources.num_cpus,
        };
        let mut all = choices(model.untuned_sizing()?, fixed, spec.image().is_some(), cores);
        if number == 0 {
            all.retain(|choice| *choice != default && candidates.is_own_asked_for);
        }
        if candidate.objection.is_some() {
            all.truncate(1);
        }
        Ok(all.into_iter().enumerate().map(move |(turn, choice)| (turn, number, choice)).collect::<Vec<_>>())
    };
    let mut all = usable.iter().enumerate().map(of_candidate).flatten_ok().collect::<Result<Vec<_>>>()?;
    all.sort_by_key(|(turn, number, _)| (*turn, *number));
    let others = all.into_iter().map(|(_, number, choice)| Entrant::new(usable, number, choice));
    Ok(iter::once(Entrant::new(usable, 0, default)).chain(others).collect())
}

/// The devices and precisions to try, and how far they agree on `samples`, found out on a thread that may block.
async fn find_candidates(
    models: &Arc<ModelRegistry>,
    model: &Arc<Model>,
    options: &TuneOptions,
    samples: Samples,
) -> Result<Candidates> {
    let (models, model, options) = (Arc::clone(models), Arc::clone(model), options.clone());
    let cancellation = CancelOnDrop::default();
    let cancelled = cancellation.0.clone();
    let find = move || {
        let mut candidates = Candidates::new(&models, &model, &options)?;
        if candidates.differ() {
            candidates.compare(&samples.decodable(), &options, &cancelled)?;
        }
        Ok(candidates)
    };
    let task = SpawnedTask::spawn_blocking(find);
    task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

/// Images from all over the rows, as many as are compared.
fn some_images(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<Vec<u8>>> {
    let Some(column) = image_column(schema) else { return Ok(vec![]) };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let step = rows.div_ceil(MOST_IMAGES).max(1);
    let (mut images, mut number) = (vec![], 0);
    for batch in batches {
        let column = ImageArray::try_new(batch.column(column))?;
        for row in 0..batch.num_rows() {
            if number % step == 0 {
                images.extend(column.get(row).map(<[u8]>::to_vec));
            }
            number += 1;
        }
    }
    Ok(images)
}
