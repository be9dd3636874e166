//! The devices and precisions worth trying, and how far predictions change there.
//!
//! ```text
//!  devices × precisions ─┬─► Candidate: the model there ─ runs on some rows ─► agreement with float32 on the CPU
//!                        └─► Refused: why it can't run there
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use itertools::iproduct;

use super::options::TuneOptions;
use super::twins::twin_of;
use crate::agreement::{Agreement, Runner, Samples, predictions};
use crate::model::runtime::{Cancellation, Model, Twin, Variant};
use crate::model::spec::{Device, Precision};
use crate::model::{ModelRegistry, ModelSpec};

use crate::{Error, Result};

/// Most images that predictions are compared on.
pub(super) const MOST_IMAGES: usize = 200;

/// Images between two looks at the time.
const IMAGES_AT_ONCE: usize = 20;

/// Share of the budget for the predictions of one device and precision.
const SHARE: u32 = 8;

/// A model on a device and in a precision.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) variant: Variant,
    pub(super) model: Arc<Model>,
    /// The quantized model, if it is its graph that runs.
    pub(super) twin: Option<Twin>,
    /// Share of the predictions that are those of float32 on the CPU, if that is known.
    pub(super) agreement: Option<f64>,
    /// Why it must not be chosen.
    pub(super) objection: Option<String>,
    /// Rows a second, one row a run, if that is known.
    pub(super) rate: Option<f64>,
}

/// A device and a precision that the model can't run on and in.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) variant: Variant,
    pub(super) reason: String,
}

/// All of a TUNE.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Those that can run; the first is the model as it is.
    pub(super) usable: Vec<Candidate>,
    pub(super) refused: Vec<Refused>,
    /// Whether the model as it is may be tuned, or is only what the others are compared with.
    pub(super) is_own_asked_for: bool,
}

impl Candidates {
    /// Finds out where `model` can run of what `options` ask for. Blocks while devices are opened.
    ///
    /// # Errors
    /// A model that can't run as it is, a model whose predictions can't be compared.
    pub(super) fn new(models: &ModelRegistry, model: &Model, options: &TuneOptions) -> Result<Self> {
        let spec = model.spec();
        let own_device: Device = (model.untuned_provider()?.to_string())
            .parse()
            .map_err(|error| Error::Model { model: spec.name.clone(), reason: format!("{error}") })?;
        let own_precision = spec.resources.precision.resolved();
        let own = Candidate::new(model, &own_device, own_precision, None)?;
        let or_own =
            |device: &Device| if *device == Device::Auto { own_device.clone() } else { device.clone() };
        let devices: Vec<Device> = match options.devices.as_slice() {
            [] => vec![own_device.clone()],
            devices => devices.iter().map(or_own).collect(),
        };
        let precisions: Vec<Precision> = match options.precisions.as_slice() {
            [] => vec![own_precision],
            precisions => precisions.iter().map(|precision| precision.resolved()).collect(),
        };
        let mut all = Self { usable: vec![own], refused: vec![], is_own_asked_for: false };
        for (device, precision) in iproduct!(&devices, &precisions) {
            match Candidate::found(models, model, device, *precision) {
                Ok(found) if found.variant == all.usable[0].variant => all.is_own_asked_for = true,
                Ok(found) if all.usable.iter().any(|usable| usable.variant == found.variant) => {}
                Ok(found) => all.usable.push(found),
                Err(error) => {
                    let variant = Variant { device: device.to_string(), precision: precision.to_string() };
                    let reason = reason(&error);
                    all.refused.push(Refused { variant, reason });
                }
            }
        }
        Ok(all)
    }

    /// Whether predictions must be compared.
    pub(super) fn differ(&self) -> bool {
        self.usable.len() > 1
    }

    /// Runs all of them on `samples`, each for a share of the budget at most, and keeps how far they agree with
    /// float32 on the CPU. Those that can't be loaded or run are refused then. Blocks.
    ///
    /// # Errors
    /// A model that can't run in float32 on the CPU, cancellation.
    pub(super) fn compare(
        &mut self,
        samples: &Samples,
        options: &TuneOptions,
        cancellation: &Cancellation,
    ) -> Result<()> {
        let runner = Runner { cancellation };
        let time = options.budget / SHARE;
        let own = &self.usable[0];
        let spec = own.model.spec().clone();
        let cpu = Device::Named { name: "cpu".to_owned(), numbers: None };
        // The graph of a quantized model has its precision in itself.
        let reference = own.model.on(&cpu, Precision::F32, None);
        let originals = timed(&runner, &spec, &reference, samples, time)?;
        reference.unload();
        let (mut usable, mut refused) = (vec![], vec![]);
        for mut candidate in self.usable.drain(..) {
            let is_reference = candidate.twin.is_none()
                && candidate.variant
                    == Variant { device: cpu.to_string(), precision: Precision::F32.to_string() };
            if is_reference {
                (candidate.agreement, candidate.rate) = (Some(1.0), Some(originals.rate));
                usable.push(candidate);
                continue;
            }
            let few = samples.first(originals.predictions.len());
            match timed(&runner, &spec, &candidate.model, &few, time) {
                Ok(others) => {
                    let agreement =
                        Agreement::between(&spec.task, &originals.predictions, &others.predictions).share;
                    candidate.model.unload();
                    candidate.agreement = Some(agreement);
                    candidate.rate = Some(others.rate);
                    // The model as it is was chosen by the user.
                    let is_low = agreement < options.min_agreement && !usable.is_empty();
                    candidate.objection = is_low.then(|| {
                        format!(
                            "agreement {:.1} % is below min_agreement {:.1} %",
                            agreement * 100.0,
                            options.min_agreement * 100.0
                        )
                    });
                    usable.push(candidate);
                }
                Err(error) => {
                    cancellation.check()?;
                    if usable.is_empty() {
                        return Err(error);
                    }
                    refused.push(Refused { variant: candidate.variant, reason: reason(&error) });
                }
            }
        }
        self.usable = usable;
        self.refused.extend(refused);
        Ok(())
    }
}

impl Candidate {
    /// `model` on `device`, in `precision`.
    ///
    /// # Errors
    /// Why it can't run there.
    fn found(models: &ModelRegistry, model: &Model, device: &Device, precision: Precision) -> Result<Self> {
        let spec = model.spec();
        let refused = |reason: String| Err(Error::Model { model: spec.name.clone(), reason });
        let name = &spec.name;
        match (spec.resources.precision == Precision::Int8, precision == Precision::Int8) {
            (true, false) => refused(format!("'{name}' is quantized; TUNE the model that it was made of")),
            (false, true) => match twin_of(models, spec) {
                Some(twin) => Self::new(model, device, precision, Some(twin.spec())),
                None => refused(format!(
                    "'{name}' has no quantized twin; CREATE MODEL {name}_int8 AS QUANTIZED {name} USING \
                     (SELECT image FROM images LIMIT 100) makes one"
                )),
            },
            _ => Self::new(model, device, precision, None),
        }
    }

    fn new(model: &Model, device: &Device, precision: Precision, twin: Option<&ModelSpec>) -> Result<Self> {
        let model = model.on(device, precision, twin);
        model.check()?;
        Ok(Self {
            variant: Variant { device: model.provider()?.to_string(), precision: precision.to_string() },
            model: Arc::new(model),
            twin: twin.map(|twin| Twin {
                name: twin.name.clone(),
                file: twin.file.clone(),
                sha256: twin.sha256.clone(),
            }),
            agreement: None,
            objection: None,
            rate: None,
        })
    }
}

/// The predictions for the first images, and how many a second.
struct Timed {
    predictions: Vec<crate::agreement::Prediction>,
    rate: f64,
}

/// Runs `model` on `samples` until about `time` has passed.
fn timed(
    runner: &Runner<'_>,
    spec: &ModelSpec,
    model: &Model,
    samples: &Samples,
    time: Duration,
) -> Result<Timed> {
    // Loads the sessions.
    predictions(runner, spec, model, &samples.first(1))?;
    let (started, mut all) = (Instant::now(), vec![]);
    for images in samples.images.chunks(IMAGES_AT_ONCE) {
        let few = Samples::new(images.to_vec(), samples.max_pixels);
        all.extend(predictions(runner, spec, model, &few)?);
        if started.elapsed() > time {
            break;
        }
    }
    let rate = all.len() as f64 / started.elapsed().as_secs_f64().max(1e-9);
    Ok(Timed { predictions: all, rate })
}

/// An error without the names of the model and the option, which the rows of a table need not repeat.
fn reason(error: &Error) -> String {
    match error {
        Error::Model { reason, .. } | Error::Option { reason, .. } => reason.clone(),
        error => error.to_string(),
    }
}
