//! Missing and invalid ONNX Runtime libraries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use crate::support::home;
use crate::support::process::{Outcome, run, seequel};

/// A home with the set-up's models and no library.
fn home_without_a_library() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    symlink(home().join("models"), folder.path().join("models")).unwrap();
    symlink(home().join("photos"), folder.path().join("photos")).unwrap();
    folder
}

/// Runs plain SQL, then EXPLAIN, then a model with `library` as ONNX Runtime; returns the error.
fn infer_with(home: &Path, library: Option<&Path>) -> String {
    let script = "SELECT 1 AS one; SELECT count(*) AS photos FROM read_images('photos');
                  EXPLAIN SELECT classify(image) FROM 'photos/lion.jpg';
                  SELECT classify(image) FROM 'photos/lion.jpg'; SELECT 'never'";
    let mut command = seequel(home, &["-q", "--format", "csv", "-c", script]);
    command.env("SEEQUEL_HOME", home);
    if let Some(library) = library {
        command.env("ORT_DYLIB_PATH", library);
    }
    let outcome = Outcome::of(&mut command);
    assert!(outcome.stdout.starts_with("one\n1\nphotos\n20\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("InferExec"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("never"), "{}", outcome.stdout);
    outcome.error()
}

#[test]
fn library_that_is_not_installed() {
    let home = home_without_a_library();
    let error = infer_with(home.path(), None);
    assert!(
        error.starts_with("Error: ONNX Runtime could not be opened, and models need it. `make setup` in Seequel's folder installs it"),
        "{error}"
    );
    let place = home.path().join("lib");
    assert!(error.contains(place.to_str().unwrap()), "{error}");
}

#[test]
fn library_that_is_missing_at_the_specified_path() {
    let home = home_without_a_library();
    let error = infer_with(home.path(), Some(&home.path().join("libmissing.so")));
    assert!(error.contains("ORT_DYLIB_PATH") && error.contains("libmissing.so"), "{error}");
}

#[test]
fn file_that_is_not_a_library() {
    let home = home_without_a_library();
    let error = infer_with(home.path(), Some(&home.path().join("photos/lion.jpg")));
    assert!(error.contains("photos/lion.jpg' is not a usable ONNX Runtime library: "), "{error}");
    assert!(error.contains("ORT_DYLIB_PATH"), "{error}");
}

#[test]
fn corrupt_library_of_the_home() {
    let home = home_without_a_library();
    let library = home.path().join("lib/libonnxruntime.so");
    fs::create_dir(home.path().join("lib")).unwrap();
    fs::write(&library, "cut off").unwrap();
    let error = infer_with(home.path(), None);
    let expected = format!("'{}' is not a usable ONNX Runtime library: ", library.display());
    assert!(error.contains(&expected) && error.contains("`make setup`"), "{error}");
}

#[test]
fn models_are_created_and_described_without_the_library() {
    let home = home_without_a_library();
    let script = "CREATE MODEL m FROM 'models/efficientnet_lite0/model.onnx' OPTIONS (device 'cpu'); DESCRIBE MODEL m; SHOW MODELS";
    let mut command = seequel(home.path(), &["-q", "--format", "csv", "-c", script]);
    let shown = Outcome::of(command.env("SEEQUEL_HOME", home.path())).stdout();
    assert!(shown.contains("input_size,224x224,seequel.json"), "{shown}");
    assert!(shown.contains("\nm,image-classification,224x224,1000,cpu,"), "{shown}");
}

#[test]
fn library_that_is_too_old_is_an_error_when_a_model_is_created() {
    let home = home_without_a_library();
    let library = home.path().join("lib/libonnxruntime.so");
    fs::create_dir(home.path().join("lib")).unwrap();
    fs::write(library.with_extension("so.1.20.1"), "not opened").unwrap();
    symlink("libonnxruntime.so.1.20.1", &library).unwrap();
    let script =
        "SELECT 1 AS one; CREATE MODEL m FROM 'models/efficientnet_lite0/model.onnx'; SELECT 'never'";
    let mut command = seequel(home.path(), &["-q", "--format", "csv", "-c", script]);
    let outcome = Outcome::of(command.env("SEEQUEL_HOME", home.path()));
    assert_eq!(outcome.stdout, "one\n1\n");
    let expected = format!(
        "Error: '{}' is ONNX Runtime 1.20.1, and Seequel needs 1.24 or later. `make setup` in Seequel's folder installs \
         one; ORT_DYLIB_PATH names the file of another",
        library.display()
    );
    assert_eq!(outcome.error_line(), expected);
}

#[test]
fn options_of_another_provider_are_an_error_when_a_model_is_created() {
    let script = "CREATE MODEL m FROM 'models/efficientnet_lite0/model.onnx' \
                  OPTIONS (device 'cpu', provider_options '{\"device_type\": \"GPU\"}')";
    assert_eq!(
        run(&["-q", "-c", script]).error_line(),
        "Error: model 'm': option 'provider_options': 'device_type' is for another device: cpu takes no options"
    );
}

/// Runs a statement that needs the library, with `SEEQUEL_RUNTIME` as the build; returns the error.
fn error_with_runtime(home: &Path, runtime: &str, library: Option<&Path>) -> String {
    let mut command = seequel(home, &["-q", "-c", "SHOW DEVICES"]);
    command.env("SEEQUEL_HOME", home).env("SEEQUEL_RUNTIME", runtime);
    if let Some(library) = library {
        command.env("ORT_DYLIB_PATH", library);
    }
    Outcome::of(&mut command).error_line()
}

#[test]
fn runtime_that_is_unknown_or_not_installed() {
    let home = home_without_a_library();
    assert_eq!(
        error_with_runtime(home.path(), "rocm", None),
        "Error: there is no runtime 'rocm'; the runtimes are cpu, openvino, webgpu, cuda"
    );
    let folder = home.path().join("runtimes/openvino");
    let missing = format!(
        "Error: the runtime 'openvino' is not installed: there is no {}. `make setup RUNTIME=openvino` in Seequel's \
         folder installs it",
        folder.join("libonnxruntime.so").display()
    );
    assert_eq!(error_with_runtime(home.path(), "openvino", None), missing);
    let mut command = seequel(home.path(), &["--runtime", "openvino", "-c", "SELECT 1"]);
    assert_eq!(Outcome::of(command.env("SEEQUEL_HOME", home.path())).error_line(), missing);
}

#[test]
fn runtime_and_library_that_contradict_each_other() {
    let home = home_without_a_library();
    let folder = home.path().join("runtimes/webgpu");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("libonnxruntime.so"), "cut off").unwrap();
    let error = error_with_runtime(home.path(), "webgpu", Some(Path::new("/nowhere/libonnxruntime.so")));
    assert_eq!(
        error,
        "Error: ORT_DYLIB_PATH names /nowhere/libonnxruntime.so, and --runtime or SEEQUEL_RUNTIME the runtime \
         'webgpu': leave one of them out"
    );
    let error = error_with_runtime(home.path(), "webgpu", Some(&folder.join("libonnxruntime.so")));
    assert!(
        error.contains("runtimes/webgpu/libonnxruntime.so' is not a usable ONNX Runtime library: "),
        "{error}"
    );
}

#[test]
fn devices_are_listed_without_the_library() {
    let home = home_without_a_library();
    let sql = "SHOW DEVICES";
    let mut command = seequel(home.path(), &["-q", "--format", "csv", "-c", sql]);
    let shown = Outcome::of(command.env("SEEQUEL_HOME", home.path())).stdout();
    assert!(shown.starts_with("device,provider,name,memory_bytes,version,missing,library\n"), "{shown}");
    assert!(shown.contains("\ncpu,CPUExecutionProvider,,,,make setup,\n"), "{shown}");
    let cuda = "\ncuda:0,CUDAExecutionProvider,,,,make setup RUNTIME=cuda; seequel --runtime cuda,\n";
    assert!(shown.contains(cuda), "{shown}");
}

#[test]
fn devices_of_the_default_runtime() {
    let shown = run(&["-q", "--format", "csv", "-c", "SHOW DEVICES"]).stdout();
    let cpu = shown.lines().find(|line| line.starts_with("cpu,CPUExecutionProvider,")).unwrap();
    assert!(cpu.ends_with("lib/libonnxruntime.so") && cpu.contains(",1.32.0,,"), "{cpu}");
    assert!(cfg!(not(target_arch = "x86_64")) || cpu.contains(" core"), "{cpu}");
    let webgpu = shown.lines().find(|line| line.starts_with("webgpu:0,WebGpuExecutionProvider,,,")).unwrap();
    assert!(webgpu.contains("seequel --runtime webgpu"), "{webgpu}");
}
