//! Models on other devices than the CPU, in the runtimes of the set-up's home that are installed: `make setup
//! RUNTIME=openvino` and `RUNTIME=webgpu`. A test whose runtime or device is missing says that it is skipped.

use crate::support::home;
use crate::support::process::{Outcome, run, seequel};

const LITE0: &str = "models/efficientnet_lite0/model.onnx";

/// Settings of the set-up's model, which is a bare file here.
const SETTINGS: &str = "labels 'models/efficientnet_lite0/labels.txt'";

/// Runs statements with a runtime, if it is installed.
fn run_with(runtime: &str, sql: &str) -> Option<Outcome> {
    if !home().join("runtimes").join(runtime).is_dir() {
        eprintln!(
            "skipped: the runtime {runtime} is not installed; `make setup RUNTIME={runtime}` does that"
        );
        return None;
    }
    let arguments = ["-q", "--format", "csv", "--runtime", runtime, "-c", sql];
    Some(Outcome::of(&mut seequel(&home(), &arguments)))
}

/// Whether the runtime sees a device, from `SHOW DEVICES`.
fn sees(runtime: &str, device: &str) -> bool {
    let Some(outcome) = run_with(runtime, "SHOW DEVICES") else { return false };
    let shown = outcome.stdout();
    let row = shown.lines().find(|line| line.starts_with(&format!("{device},")));
    let is_there = row.is_some_and(|row| !row.contains("a device and its driver"));
    if !is_there {
        eprintln!("skipped: there is no device '{device}'");
    }
    is_there
}

/// A query that gives the largest difference between the confidences of the best class on the CPU and on a device, over
/// all photos, and how many classes differ.
fn difference(options: &str) -> String {
    format!(
        "CREATE MODEL a FROM '{LITE0}' OPTIONS ({SETTINGS}, device 'cpu'); \
         CREATE MODEL b FROM '{LITE0}' OPTIONS ({SETTINGS}, {options}); \
         SELECT max(abs(a['confidence'] - b['confidence'])) AS difference, \
                count(*) FILTER (WHERE a['class'] <> b['class']) AS other FROM ( \
           SELECT classify(image, 'a') AS a, classify(image, 'b') AS b FROM 'photos/*.*')"
    )
}

/// The two numbers of [`difference`]; drivers may warn.
#[track_caller]
fn numbers(outcome: &Outcome) -> (f64, usize) {
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let shown = &outcome.stdout;
    let (difference, other) = shown.lines().last().unwrap().split_once(',').unwrap();
    (difference.parse().unwrap(), other.parse().unwrap())
}

#[test]
fn openvino_agrees_with_the_cpu() {
    let Some(outcome) = run_with("openvino", &difference("device 'openvino'")) else { return };
    let (difference, other) = numbers(&outcome);
    assert!(difference < 1e-4 && other == 0, "{difference}, {other}");
}

#[test]
fn openvino_computes_in_bf16_where_the_processor_can() {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let has_bf16 = ["avx512_bf16", "amx_bf16"].iter().any(|flag| flags.contains(flag));
    let sql = difference("device 'openvino', precision 'bf16'");
    let Some(outcome) = run_with("openvino", &sql) else { return };
    if has_bf16 {
        let (difference, _) = numbers(&outcome);
        assert!(difference > 1e-5 && difference < 0.2, "{difference}");
    } else {
        let error = outcome.error();
        assert!(error.contains("'bf16' needs a processor with avx512_bf16 or amx_bf16"), "{error}");
    }
}

#[test]
fn options_reach_openvino_which_checks_them() {
    let sql = format!(
        "CREATE MODEL b FROM '{LITE0}' OPTIONS (device 'openvino', provider_options '{{\"nonsense\": 1}}'); \
         SELECT classify(image, 'b') FROM 'photos/lion.jpg'"
    );
    let Some(outcome) = run_with("openvino", &sql) else { return };
    let error = outcome.error();
    assert!(error.contains("on openvino: ") && error.contains("nonsense"), "{error}");
}

#[test]
fn webgpu_agrees_with_the_cpu() {
    if !sees("webgpu", "webgpu:0") {
        return;
    }
    let Some(outcome) = run_with("webgpu", &difference("device 'webgpu'")) else { return };
    let (difference, other) = numbers(&outcome);
    assert!(difference < 1e-4 && other == 0, "{difference}, {other}");
}

#[test]
fn devices_of_the_default_runtime() {
    let shown = run(&["-q", "--format", "csv", "-c", "SHOW DEVICES"]).stdout();
    let cpu = shown.lines().find(|line| line.starts_with("cpu,CPUExecutionProvider,")).unwrap();
    assert!(cpu.ends_with("lib/libonnxruntime.so") && cpu.contains(",1.32.0,,"), "{cpu}");
    let webgpu = shown.lines().find(|line| line.starts_with("webgpu:0,WebGpuExecutionProvider,,,")).unwrap();
    assert!(webgpu.contains("seequel --runtime webgpu"), "{webgpu}");
}
