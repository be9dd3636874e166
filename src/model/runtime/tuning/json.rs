//! Tunings as JSON.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Choice, Trial, Tuning, TuningKey, Twin, Variant};

pub(super) fn write_tuning(tuning: &Tuning) -> Value {
    let Tuning { model, key, metric, chosen, variant, twin, agreement, default, gain, at, trials } = tuning;
    json!({
        "model": model,
        "sha256": key.sha256,
        "runtime": key.runtime,
        "device": key.device,
        "precision": key.precision,
        "machine": key.machine,
        "metric": metric,
        "chosen": write_configuration(variant, Some(chosen)),
        "twin": twin.as_ref().map(write_twin),
        "agreement": agreement,
        "default": write_choice(default),
        "gain": gain,
        "at": at,
        "trials": trials.iter().map(write_trial).collect::<Vec<_>>(),
    })
}

fn write_choice(choice: &Choice) -> Value {
    let Choice { batch_size, concurrency, num_cpus, morsel_rows } = choice;
    json!({
        "batch_size": batch_size,
        "concurrency": concurrency,
        "num_cpus": num_cpus,
        "morsel_rows": morsel_rows,
    })
}

fn write_configuration(variant: &Variant, choice: Option<&Choice>) -> Value {
    let mut value = choice.map_or_else(|| json!({}), write_choice);
    value["device"] = json!(variant.device);
    value["precision"] = json!(variant.precision);
    value
}

fn write_twin(twin: &Twin) -> Value {
    let Twin { name, file, sha256 } = twin;
    json!({"name": name, "file": file, "sha256": sha256})
}

fn write_trial(trial: &Trial) -> Value {
    let mut value = write_configuration(&trial.variant, trial.choice.as_ref());
    value["agreement"] = json!(trial.agreement);
    value["runs"] = json!(trial.runs);
    value["rate"] = json!(trial.rate);
    value["latency"] = json!(trial.latency);
    value["memory_bytes"] = json!(trial.memory_bytes);
    value["device_use"] = json!(trial.device_use);
    value["outcome"] = json!(trial.outcome);
    value
}

pub(super) fn read_tuning(value: &Value) -> Option<Tuning> {
    let text = |key: &str| Some(value[key].as_str()?.to_owned());
    let key = TuningKey {
        sha256: text("sha256")?,
        runtime: text("runtime")?,
        device: text("device")?,
        precision: text("precision")?,
        machine: text("machine")?,
    };
    Some(Tuning {
        model: text("model")?,
        key,
        metric: text("metric")?,
        chosen: read_choice(&value["chosen"])?,
        variant: read_variant(&value["chosen"])?,
        // A twin that can't be read must not be mistaken for none.
        twin: if value["twin"].is_null() { None } else { Some(read_twin(&value["twin"])?) },
        agreement: value["agreement"].as_f64(),
        default: read_choice(&value["default"])?,
        gain: read_numbers(&value["gain"])?,
        at: value["at"].as_u64()?,
        trials: value["trials"].as_array()?.iter().filter_map(read_trial).collect(),
    })
}

fn read_choice(value: &Value) -> Option<Choice> {
    // None of them is zero, whoever wrote the file.
    let count =
        |key: &str| value[key].as_u64().and_then(|count| usize::try_from(count).ok()).filter(|n| *n > 0);
    Some(Choice {
        batch_size: count("batch_size")?,
        concurrency: count("concurrency")?,
        num_cpus: count("num_cpus")?,
        // Earlier versions wrote none.
        morsel_rows: count("morsel_rows"),
    })
}

fn read_variant(value: &Value) -> Option<Variant> {
    let text = |key: &str| Some(value[key].as_str()?.to_owned());
    Some(Variant { device: text("device")?, precision: text("precision")? })
}

fn read_twin(value: &Value) -> Option<Twin> {
    let text = |key: &str| Some(value[key].as_str()?.to_owned());
    Some(Twin { name: text("name")?, file: PathBuf::from(text("file")?), sha256: text("sha256")? })
}

fn read_trial(value: &Value) -> Option<Trial> {
    Some(Trial {
        variant: read_variant(value)?,
        choice: read_choice(value),
        agreement: value["agreement"].as_f64(),
        runs: usize::try_from(value["runs"].as_u64()?).ok()?,
        rate: read_numbers(&value["rate"]),
        latency: read_numbers(&value["latency"]),
        memory_bytes: value["memory_bytes"].as_u64(),
        device_use: value["device_use"].as_f64(),
        outcome: value["outcome"].as_str()?.to_owned(),
    })
}

fn read_numbers<const N: usize>(value: &Value) -> Option<[f64; N]> {
    let numbers: Vec<f64> = value.as_array()?.iter().filter_map(Value::as_f64).collect();
    numbers.try_into().ok()
}
