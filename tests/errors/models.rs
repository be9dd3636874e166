//! Missing and invalid models, and options that don't fit them.

use std::fs;
use std::path::Path;

use crate::support::home;
use crate::support::process::{Outcome, run, run_in, seequel};

const LITE0: &str = "models/efficientnet_lite0/model.onnx";

/// The error of `CREATE MODEL m FROM 'location' options`, in the set-up's home.
fn create(location: &str, options: &str) -> String {
    run(&["-q", "-c", &format!("CREATE MODEL m FROM '{location}' {options}")]).error_line()
}

#[test]
fn unknown_model_is_an_error_with_the_existing_ones() {
    let error = run(&["-c", "SELECT classify(image, 'nope') FROM read_images('photos')"]).error_line();
    insta::assert_snapshot!(error, @"Error: there is no model 'nope'; the models are 'efficientnet_lite0', 'efficientnet_lite2'; CREATE MODEL adds more");
}

#[test]
fn unknown_default_model_is_an_error_on_use() {
    let set = "SET inference.default_model = 'nope'";
    let outcome = run(&["-q", "--format", "csv", "-c", set, "SELECT 1 AS a", "SELECT classify(NULL)"]);
    assert_eq!(outcome.stdout, "a\n1\n");
    let error = outcome.error();
    assert!(error.contains("there is no model 'nope'"), "{error}");
}

/// The error of a call without a model if SEEQUEL_HOME is `home`.
fn call_with_home(home: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = seequel(folder.path(), &["-c", "SELECT classify(NULL)"]);
    Outcome::of(command.env("SEEQUEL_HOME", home)).error_line().replace(home.to_str().unwrap(), "HOME")
}

#[test]
fn missing_home_is_named() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(call_with_home(&folder.path().join("nowhere")), @"Error: there is no model 'efficientnet_lite0'; create one with CREATE MODEL name FROM 'file.onnx'; none are installed, because there is no folder 'HOME': SEEQUEL_HOME names another home, and `make setup` in Seequel's folder makes one with two models");
    insta::assert_snapshot!(call_with_home(folder.path()), @"Error: there is no model 'efficientnet_lite0'; create one with CREATE MODEL name FROM 'file.onnx'; none are installed, because there is no folder 'HOME/models': SEEQUEL_HOME names another home, and `make setup` in Seequel's folder makes one with two models");
    fs::create_dir(folder.path().join("models")).unwrap();
    insta::assert_snapshot!(call_with_home(folder.path()), @"Error: there is no model 'efficientnet_lite0'; create one with CREATE MODEL name FROM 'file.onnx'");
}

#[test]
fn default_home_is_in_the_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = seequel(folder.path(), &["-c", "SELECT classify(NULL)"]);
    let error = Outcome::of(command.env_remove("SEEQUEL_HOME")).error_line();
    let home = folder.path().canonicalize().unwrap().join(".seequel");
    assert!(error.contains(&format!("there is no folder '{}': SEEQUEL_HOME", home.display())), "{error}");
}

#[test]
fn near_names_of_models_are_suggested() {
    let error = run(&["-c", "SELECT classify(NULL, 'efficientnet_lite')"]).error_line();
    insta::assert_snapshot!(error, @"Error: there is no model 'efficientnet_lite'; did you mean 'efficientnet_lite0'? The models are 'efficientnet_lite0', 'efficientnet_lite2'");
}

#[test]
fn missing_file() {
    insta::assert_snapshot!(create("no/model.onnx", ""), @"Error: model 'm': there is no file 'no/model.onnx'");
}

#[test]
fn folder_without_a_model() {
    insta::assert_snapshot!(create("photos", ""), @"Error: model 'm': folder 'photos' has neither model.onnx nor onnx/model.onnx; name the file");
}

#[test]
fn unsupported_url() {
    insta::assert_snapshot!(create("s3://bucket/model.onnx", ""), @"Error: model 'm': 's3://bucket/model.onnx': models are read from local files, hf://organisation/repository/file and https://, not over s3://");
}

#[test]
fn file_that_is_not_onnx() {
    let error = create("photos/lion.jpg", "");
    assert!(error.contains("photos/lion.jpg' is not an ONNX file: "), "{error}");
}

#[test]
fn empty_file_is_not_onnx() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.onnx"), "").unwrap();
    let error = run_in(folder.path(), &["-c", "CREATE MODEL m FROM 'empty.onnx'"]).error();
    assert!(error.contains("empty.onnx' is not an ONNX file: it has no graph"), "{error}");
}

#[test]
fn truncated_model() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(home().join(LITE0)).unwrap();
    fs::write(folder.path().join("half.onnx"), &whole[..whole.len() / 2]).unwrap();
    let error = run_in(folder.path(), &["-c", "CREATE MODEL m FROM 'half.onnx'"]).error();
    assert!(error.contains("half.onnx' is not an ONNX file: "), "{error}");
}

#[test]
fn wrong_number_of_labels() {
    insta::assert_snapshot!(
        create(LITE0, r#"OPTIONS (labels '["cat", "dog"]')"#),
        @"Error: model 'm': option 'labels': the list has 2 labels but output 'logits' has 1000 classes"
    );
}

#[test]
fn missing_labels_file() {
    insta::assert_snapshot!(create(LITE0, "OPTIONS (labels 'names.txt')"), @"Error: model 'm': option 'labels': there is no file 'names.txt'");
}

#[test]
fn misspelt_option() {
    insta::assert_snapshot!(create(LITE0, "OPTIONS (lables 'labels.txt')"), @"Error: model 'm': option 'lables': unknown option; did you mean 'labels'?");
}

#[test]
fn unknown_option_lists_the_valid_ones() {
    let error = create(LITE0, "OPTIONS (colour 'blue')");
    assert!(
        error.contains("option 'colour': unknown option; the options are task, input_size, layout"),
        "{error}"
    );
}

#[test]
fn option_that_contradicts_the_graph() {
    let error = create(LITE0, "OPTIONS (input_size '100')");
    assert!(error.contains("model 'm': option 'input_size': "), "{error}");
}

#[test]
fn unknown_output() {
    let error = create(LITE0, "OPTIONS (output 'embedding')");
    assert!(error.contains("option 'output': ") && error.contains("logits"), "{error}");
}

#[test]
fn wrong_digest() {
    let error = create(LITE0, "OPTIONS (sha256 'abcd')");
    assert!(error.contains("option 'sha256': ") && error.contains(", not abcd"), "{error}");
}

#[test]
fn mistyped_task() {
    insta::assert_snapshot!(create(LITE0, "OPTIONS (task 'image-clasification')"), @"Error: model 'm': option 'task': 'image-clasification' is no task; did you mean 'image-classification'?");
}

/// A head of YOLOX, which has one box for each cell.
#[test]
fn head_that_detect_would_misread() {
    let yolox = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/yolox.onnx");
    insta::assert_snapshot!(create(yolox, "OPTIONS (task 'detection')"), @"Error: model 'm': output 'boxes' float32 [batch, 21, 6] can't be read as boxes: 21 boxes are one for each cell of its grids, as in YOLOX, whose positions count in cells unless the export decoded them, which the file does not say; detect reads [batch, boxes, 5 + classes] (YOLOv5, v7), [batch, 4 + classes, boxes] (YOLOv8 and later), [batch, boxes, 6] (Ultralytics after non-maximum suppression), and grids of anchor boxes with the option anchors; with another word as the task, predict gives its numbers");
    let predict = format!("CREATE MODEL m FROM '{yolox}' OPTIONS (task 'boxes')");
    let sql = "SELECT predict('m', image)['boxes'][1][5] > 0.8 AS sure FROM 'photos/lion.jpg'";
    assert_eq!(run(&["-q", "--format", "csv", "-c", &predict, sql]).stdout(), "sure\ntrue\n");
}

/// The set-up's ONNX Runtime has no GPU provider.
#[test]
fn unavailable_device() {
    insta::assert_snapshot!(create(LITE0, "OPTIONS (device 'cuda:0')"), @"Error: model 'm': option 'device': 'cuda:0' is not available; the loaded ONNX Runtime offers cpu. The runtime cuda has it: `make setup RUNTIME=cuda` in Seequel's folder installs it, then start with `--runtime cuda` or SEEQUEL_RUNTIME=cuda");
    insta::assert_snapshot!(create(LITE0, "OPTIONS (device 'gpu')"), @"Error: model 'm': option 'device': 'gpu' is no device; the devices are auto, cpu, openvino, webgpu:0, cuda:0, tensorrt:0");
}

#[test]
fn precision_that_the_device_lacks() {
    insta::assert_snapshot!(create(LITE0, "OPTIONS (device 'cpu', precision 'bf16')"), @"Error: model 'm': option 'precision': 'bf16' is not supported by cpu, which computes in f32; openvino computes in bf16 too");
    insta::assert_snapshot!(create(LITE0, "OPTIONS (precision 'int8')"), @"Error: model 'm': option 'precision': 'int8' needs a quantized graph, and this one computes in floating point; CREATE MODEL … AS QUANTIZED makes one of it");
}

#[test]
fn name_that_is_taken() {
    let twice = format!("CREATE MODEL m FROM '{LITE0}'; CREATE MODEL m FROM '{LITE0}'");
    insta::assert_snapshot!(run(&["-q", "-c", &twice]).error_line(), @"Error: model 'm': there is one of that name; CREATE OR REPLACE MODEL replaces it");
}

#[test]
fn drop_of_an_unknown_model() {
    let error = run(&["-c", "DROP MODEL nope"]).error_line();
    assert!(error.contains("there is no model 'nope'; the models are 'efficientnet_lite0'"), "{error}");
    run(&["-q", "-c", "DROP MODEL IF EXISTS nope"]).stdout();
}

#[test]
fn view_of_a_dropped_model() {
    let script =
        "CREATE VIEW v AS SELECT classify(image, 'efficientnet_lite2')['label'] AS l FROM 'photos/lion.jpg';
                  SELECT l FROM v; DROP MODEL efficientnet_lite2; SELECT l FROM v";
    let outcome = run(&["-q", "--format", "csv", "-c", script]);
    assert_eq!(outcome.stdout, "l\nlion\n");
    insta::assert_snapshot!(outcome.error(), @"Error: there is no model 'efficientnet_lite2'; did you mean 'efficientnet_lite0'? The models are 'efficientnet_lite0'");
}

#[test]
fn broken_model_of_the_set_up_does_not_affect_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    fs::create_dir_all(models.join("broken")).unwrap();
    fs::write(models.join("broken/model.onnx"), "text").unwrap();
    std::os::unix::fs::symlink(home().join("models/efficientnet_lite0"), models.join("whole")).unwrap();
    let run = |sql: &str| {
        let mut command = seequel(folder.path(), &["-q", "--format", "csv", "-c", sql]);
        Outcome::of(command.env("SEEQUEL_HOME", folder.path()))
    };
    let shown = run("SHOW MODELS").stdout();
    let rows = shown.lines().collect::<Vec<_>>();
    assert!(rows[1].starts_with("broken,,,") && rows[1].contains("is not an ONNX file"), "{shown}");
    assert!(rows[2].starts_with("whole,image-classification,224x224,1000,auto,"), "{shown}");
    let error = run("SELECT classify(NULL, 'broken')").error();
    assert!(error.contains("model 'broken': ") && error.contains("is not an ONNX file"), "{error}");
}
