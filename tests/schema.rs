//! The schema of `seequel.json` says what CREATE MODEL does, of good files and of bad ones.

use std::fs;

use serde_json::{Value, json};

use crate::support::home;
use crate::support::process::run_in;

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../docs/seequel.schema.json")).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_files_of_the_set_up_follow_it() {
    let schema = schema();
    let models = fs::read_dir(home().join("models")).unwrap();
    let files = models.map(|model| model.unwrap().path().join("seequel.json")).filter(|file| file.is_file());
    let files = files.collect::<Vec<_>>();
    assert!(!files.is_empty());
    for file in files {
        let settings: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let faults = schema.iter_errors(&settings).map(|fault| fault.to_string()).collect::<Vec<_>>();
        assert!(faults.is_empty(), "{}: {faults:?}", file.display());
    }
}

#[test]
fn it_takes_and_refuses_what_the_program_does() {
    let schema = schema();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(
        home().join("models/efficientnet_lite0/model.onnx"),
        folder.path().join("model.onnx"),
    )
    .unwrap();
    let taken = [
        json!({"$schema": "seequel.schema.json", "task": null}),
        json!({"mean": [0.485, 0.456, 0.406], "std": "0.229,0.224,0.225", "rescale": "1/255"}),
        json!({"input_size": 224, "layout": "NCHW", "resize": "letterbox", "padding": 0}),
        json!({"concurrency": "1..4", "num_cpus": 2, "num_gpus": 0.5, "batch_size": "auto"}),
        json!({"provider_options": {"num_streams": 1}, "interpolation": "hamming"}),
    ];
    let refused = [
        json!({"lables": "labels.txt"}),
        json!({"resize": "squash"}),
        json!({"padding": 256}),
        json!({"crop_fraction": 87.5}),
        json!({"input_size": "wide"}),
        json!({"mean": []}),
        json!({"num_gpus": 2}),
        json!({"batch_size": 0}),
        json!({"provider_options": "num_streams"}),
    ];
    let create = |settings: &Value| {
        fs::write(folder.path().join("seequel.json"), settings.to_string()).unwrap();
        run_in(folder.path(), &["-q", "-c", "CREATE MODEL m FROM '.'"])
    };
    for settings in taken {
        create(&settings).answer();
        assert!(schema.is_valid(&settings), "{settings}");
    }
    for settings in refused {
        let error = create(&settings).error();
        assert!(error.contains("(from seequel.json)"), "{settings}: {error}");
        assert!(!schema.is_valid(&settings), "{settings}");
    }
}
