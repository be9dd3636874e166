//! `CREATE MODEL … AS QUANTIZED`: collects the images of its query, quantizes on a blocking thread, registers the twin.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use seequel_udfs::{ImageArray, check_image_type};

use super::execute::run_blocking;
use super::queries::query;
use crate::agreement::Samples;
use crate::config::InferenceOptions;
use crate::model::runtime::CancelOnDrop;
use crate::model::{CreateModel, ModelRegistry};
use crate::quantize::{self, CreateQuantized, Record};
use crate::{Error, Result};

/// Most bytes of encoded images: a thousand photos of a camera.
const MOST_BYTES: usize = 4 << 30;

/// Runs the statement. `observe` gets the plan of its query before it runs.
///
/// # Errors
/// Errors of the query and of quantization; a name that is taken or can't be a folder's.
pub(super) async fn run(
    ctx: &SessionContext,
    models: &Arc<ModelRegistry>,
    create: CreateQuantized,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<()> {
    let CreateQuantized { name, or_replace, if_not_exists, source, .. } = &create;
    if !models.takes(name, *or_replace, *if_not_exists)? {
        return Ok(());
    }
    let error = |reason: &str| Error::Model { model: name.clone(), reason: reason.to_owned() };
    let target = models.folder_of(name);
    if !is_folder_name(name) {
        return Err(error(
            "a quantized model is kept in a folder of its name; use letters, digits, '_', '-' and '.'",
        ));
    }
    let original = models.get(source)?;
    if original.spec().file.starts_with(std::path::absolute(&target).unwrap_or_default()) {
        return Err(error("a quantized model can't replace its original"));
    }
    if target.exists() && !Record::is_in(&target) {
        return Err(error(&format!(
            "'{}' exists and is no quantized model; use another name",
            target.display()
        )));
    }
    // One that was dropped, or is to be replaced, as opposed to one that another process makes meanwhile.
    let or_replace = *or_replace || target.exists();
    let options = quantize::check(&create, &original)?;
    let samples = collect(ctx, &create, observe).await?;
    let (models, cancellation) = (Arc::clone(models), CancelOnDrop::default());
    let cancelled = cancellation.0.clone();
    run_blocking(move || {
        let place = (target.as_path(), or_replace);
        quantize::quantize(&create.name, &options, &original, samples, place, &cancelled)?;
        let location = target.display().to_string();
        models.create(&CreateModel::new(&create.name, location).with_or_replace(create.or_replace))
    })
    .await
}

/// The images of the statement's query.
async fn collect(
    ctx: &SessionContext,
    create: &CreateQuantized,
    observe: impl FnOnce(&Arc<dyn ExecutionPlan>),
) -> Result<Samples> {
    let error = |reason: String| Error::Model { model: create.name.clone(), reason };
    let plan = query::plan(&ctx.state(), create.query.as_ref().clone()).await?;
    let mut fields = plan.schema().fields().iter();
    let Some(column) = fields.position(|field| check_image_type("USING", field.data_type()).is_ok()) else {
        return Err(error(
            "the query of USING has no column of images; SELECT image FROM images LIMIT 100".to_owned(),
        ));
    };
    let (plan, task) = query::physical(ctx, plan, observe).await?;
    let max_pixels = InferenceOptions::of(ctx.state().config_options()).bounds.max_image_pixels;
    let (mut images, mut bytes) = (vec![], 0);
    let mut batches = execute_stream(plan, task)?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let column = ImageArray::try_new(batch.column(column))?;
        for image in (0..batch.num_rows()).filter_map(|row| column.get(row)) {
            bytes += image.len();
            if bytes > MOST_BYTES {
                return Err(error(format!(
                    "the query of USING gives more than {} GiB of images; add LIMIT 100",
                    MOST_BYTES >> 30
                )));
            }
            images.push(image.to_vec());
        }
    }
    Ok(Samples::new(images, max_pixels))
}

fn is_folder_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(is_allowed) && !name.starts_with('.')
}
