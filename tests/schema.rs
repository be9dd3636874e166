//! The schema of `seequel.json` accepts and rejects the same files as CREATE MODEL.

use std::fs;

use serde_json::{Value, json};

use crate::support::home;
use crate::support::process::run_in;

fn schema() -> Value {
    serde_json::from_str(include_str!("../docs/seequel.schema.json")).unwrap()
}

/// Whether settings are valid, by the keywords of JSON Schema that the schema uses.
fn follows(schema: &Value, settings: &Value) -> bool {
    let follows = |(key, value): (&String, &Value)| {
        schema["properties"].get(key).is_some_and(|rule| {
            let named = rule["$ref"].as_str().and_then(|path| schema.pointer(path.strip_prefix('#')?));
            accepts(rule, value) && named.is_none_or(|named| accepts(named, value))
        })
    };
    settings.as_object().unwrap().iter().all(follows)
}

fn accepts(rule: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the schema has a type '{other}'"),
    };
    let kinds = match &rule["type"] {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    let listed = rule["enum"].as_array().is_none_or(|allowed| allowed.contains(value));
    let bound = |key: &str, holds: fn(f64, f64) -> bool| match (value.as_f64(), rule[key].as_f64()) {
        (Some(number), Some(bound)) => holds(number, bound),
        _ => true,
    };
    let few = value.as_array().zip(rule["minItems"].as_u64());
    kinds
        && listed
        && bound("minimum", |number, least| number >= least)
        && bound("exclusiveMinimum", |number, least| number > least)
        && bound("maximum", |number, most| number <= most)
        && few.is_none_or(|(items, least)| items.len() as u64 >= least)
}

#[test]
fn files_of_the_set_up_are_valid() {
    let models = fs::read_dir(home().join("models")).unwrap();
    let files = models.map(|model| model.unwrap().path().join("seequel.json")).filter(|file| file.is_file());
    let files = files.collect::<Vec<_>>();
    assert!(!files.is_empty());
    for file in files {
        let settings: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert!(follows(&schema(), &settings), "{}", file.display());
    }
}

#[test]
fn schema_and_create_model_accept_and_reject_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let model = home().join("models/efficientnet_lite0/model.onnx");
    std::os::unix::fs::symlink(model, folder.path().join("model.onnx")).unwrap();
    let create = |settings: &Value| {
        fs::write(folder.path().join("seequel.json"), settings.to_string()).unwrap();
        run_in(folder.path(), &["-q", "-c", "CREATE MODEL m FROM '.'"])
    };
    let taken = [
        json!({"$schema": "seequel.schema.json", "task": null, "background": "none"}),
        json!({"mean": [0.485, 0.456, 0.406], "std": "0.229,0.224,0.225", "rescale": "1/255"}),
        json!({"input_size": 224, "layout": "NCHW", "resize": "letterbox", "padding": 0}),
        json!({"concurrency": "1..4", "num_cpus": 2, "num_gpus": 0.5, "batch_size": "auto"}),
        json!({"provider_options": {"num_streams": 1}, "interpolation": "hamming"}),
        json!({"device": "auto", "precision": "auto", "provider_options": {"load_config": {"CPU": {}}}}),
    ];
    let refused = [
        json!({"lables": "labels.txt"}),
        json!({"resize": "squash"}),
        json!({"padding": 256}),
        json!({"crop_fraction": 87.5}),
        json!({"background": "middle"}),
        json!({"mean": []}),
        json!({"num_gpus": 2}),
        json!({"batch_size": 0}),
        json!({"provider_options": ["num_streams"]}),
        json!({"precision": "int4"}),
    ];
    for settings in taken {
        create(&settings).stdout();
        assert!(follows(&schema(), &settings), "{settings}");
    }
    for settings in refused {
        let error = create(&settings).error();
        assert!(error.contains("(from seequel.json)"), "{settings}: {error}");
        assert!(!follows(&schema(), &settings), "{settings}");
    }
}
