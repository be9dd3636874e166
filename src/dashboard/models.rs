//! The models of an engine: settings with their sources, sessions, runs, and what TUNE measured; and the devices that they
//! could run on.

use serde_json::{Value, json};

use crate::model::runtime::{Choice, Model, Trial, Tuning, Tunings, Variant};
use crate::model::{ModelRegistry, Predictor};

/// All models, by name. Reads files, and may query ONNX Runtime for its devices: call it where blocking is allowed.
pub(super) fn models(registry: &ModelRegistry) -> Value {
    let tunings = Tunings::in_home(registry.home()).all();
    let described = registry.names().into_iter().map(|name| match registry.predictor(&name) {
        Ok(Predictor::Model(model)) => described(&model, &tunings),
        Ok(predictor) => {
            let members = predictor.members().iter().map(|member| member.spec().name.as_str());
            json!({"name": name, "members": members.collect::<Vec<_>>()})
        }
        Err(error) => json!({"name": name, "error": error.to_string()}),
    });
    json!({"models": described.collect::<Vec<_>>()})
}

/// What `SHOW DEVICES` returns. Opens ONNX Runtime: call it where blocking is allowed.
pub(super) fn devices(registry: &ModelRegistry) -> Value {
    let (devices, error) = match registry.runtime().devices() {
        Ok(devices) => (devices, None),
        Err(error) => (vec![], Some(error.to_string())),
    };
    let devices = devices.into_iter().map(|device| {
        json!({
            "device": device.device,
            "provider": device.provider,
            "name": device.name,
            "memory_bytes": device.memory_bytes,
            "version": device.version,
            "missing": device.missing,
            "library": device.library.map(|library| library.display().to_string()),
        })
    });
    json!({"devices": devices.collect::<Vec<_>>(), "error": error})
}

fn described(model: &Model, tunings: &[Tuning]) -> Value {
    let spec = model.spec();
    let seconds = |share| model.run_time(share).map(|time| time.as_secs_f64());
    let settings = spec.settings.iter().map(|setting| json!([setting.name, setting.value, setting.origin()]));
    let tuned = tunings.iter().filter(|tuning| tuning.model == spec.name).map(tuned);
    let mut all = json!({
        "name": spec.name,
        "task": spec.task.to_string(),
        "file": spec.file.display().to_string(),
        "inputs": spec.inputs.iter().map(|input| input.display()).collect::<Vec<_>>(),
        "classes": spec.output.classes,
        "loaded_sessions": model.loaded_sessions(),
        "memory_bytes": model.memory_bytes(),
        "inferred_rows": model.inferred_rows(),
        "device_use": model.device_use(),
        "p50_seconds": seconds(0.5),
        "p95_seconds": seconds(0.95),
        "p99_seconds": seconds(0.99),
        "settings": settings.collect::<Vec<_>>(),
        "tunings": tuned.collect::<Vec<_>>(),
    });
    match (model.provider(), model.sizing(), model.precision()) {
        (Ok(provider), Ok(sizing), Ok(precision)) => {
            all["device"] = json!(provider.to_string());
            all["precision"] = json!(precision.to_string());
            all["batch_size"] = json!(sizing.batch_rows);
            all["concurrency"] = json!(sizing.sessions);
            all["num_cpus"] = json!(sizing.threads);
        }
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => all["error"] = json!(error.to_string()),
    }
    all
}

fn tuned(tuning: &Tuning) -> Value {
    json!({
        "at_seconds": tuning.at,
        "metric": tuning.metric,
        "gain": tuning.gain,
        "chosen": choice(&tuning.variant, Some(tuning.chosen)),
        "trials": tuning.trials.iter().map(trial).collect::<Vec<_>>(),
    })
}

fn trial(trial: &Trial) -> Value {
    let mut all = choice(&trial.variant, trial.choice);
    all["rate"] = json!(trial.rate);
    all["outcome"] = json!(trial.outcome);
    all
}

fn choice(variant: &Variant, choice: Option<Choice>) -> Value {
    json!({
        "device": variant.device,
        "precision": variant.precision,
        "batch_size": choice.map(|choice| choice.batch_size),
        "concurrency": choice.map(|choice| choice.concurrency),
        "num_cpus": choice.map(|choice| choice.num_cpus),
    })
}
