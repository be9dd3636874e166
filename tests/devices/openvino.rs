//! `device 'openvino'`, on the processor.

use std::os::unix::fs::symlink;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::common;
use crate::support::{
    LABELS, LITE0, Outcome, Test, command, difference, error, home, missing_runtime, model, run, trials,
};

const TESTS: [Test; 7] = [
    ("openvino_agrees_with_the_cpu", agrees_with_the_cpu),
    ("openvino_computes_in_bf16_where_the_processor_can", computes_in_bf16_where_the_processor_can),
    ("openvino_refuses_unknown_options_at_create", refuses_unknown_options_at_create),
    ("openvino_reports_what_it_leaves_to_the_cpu", reports_what_it_leaves_to_the_cpu),
    ("openvino_refuses_a_gpu_that_is_missing", refuses_a_gpu_that_is_missing),
    ("openvino_is_tuned_beside_the_cpu", is_tuned_beside_the_cpu),
    ("openvino_query_ends_while_it_loads", query_ends_while_it_loads),
];

pub(crate) fn suite() -> Vec<Trial> {
    trials(&TESTS, missing_runtime("openvino").as_deref())
}

fn agrees_with_the_cpu() {
    let (difference, other) = difference("openvino", "device 'openvino'");
    assert!(difference < 1e-4 && other == 0, "{difference}, {other}");
}

fn computes_in_bf16_where_the_processor_can() {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    if ["avx512_bf16", "amx_bf16"].iter().any(|flag| flags.contains(flag)) {
        let (difference, _) = difference("openvino", "device 'openvino', precision 'bf16'");
        assert!(difference > 1e-5 && difference < 0.2, "{difference}");
    } else {
        let sql = format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'openvino', precision 'bf16')");
        let error = error("openvino", &sql);
        assert!(error.contains("'bf16' needs a processor with avx512_bf16 or amx_bf16"), "{error}");
    }
}

fn refuses_unknown_options_at_create() {
    let create = |options: &str| {
        let sql = format!(
            "CREATE MODEL m FROM {LITE0} OPTIONS (device 'openvino', provider_options '{options}'); SELECT 'never'"
        );
        error("openvino", &sql).lines().next().unwrap().to_owned()
    };
    let refused = "Error: model 'm': option 'provider_options': refused by openvino: ";
    assert_eq!(
        create(r#"{"nonsense": 1}"#),
        format!(
            "{refused}Failed to load provider OpenVINOExecutionProvider: Invalid provider_option key: nonsense"
        )
    );
    // One of OpenVINO's own, which it checks when it compiles a graph.
    assert_eq!(
        create(r#"{"load_config": {"CPU": {"NONSENSE": "YES"}}}"#),
        format!("{refused}NotFound: Unsupported property NONSENSE by CPU plugin")
    );
}

fn refuses_a_gpu_that_is_missing() {
    let sql = format!(
        "CREATE MODEL m FROM {LITE0} OPTIONS (device 'openvino', provider_options '{{\"device_type\": \"GPU.7\"}}')"
    );
    let error = error("openvino", &sql);
    assert!(
        error.contains("option 'provider_options': refused by openvino: ") && error.contains("GPU.7"),
        "{error}"
    );
}

/// Nodes that OpenVINO has compiled into one count as its own; it has no classifiers of `ai.onnx.ml`.
fn reports_what_it_leaves_to_the_cpu() {
    let iris = model("iris");
    let shown = run(
        "openvino",
        &format!(
            "CREATE MODEL whole FROM {LITE0} OPTIONS ({LABELS}, device 'openvino'); \
             CREATE MODEL iris FROM '{}' OPTIONS (device 'openvino'); \
             CREATE MODEL host FROM {LITE0} OPTIONS ({LABELS}, device 'cpu'); \
             DESCRIBE MODEL whole; DESCRIBE MODEL iris; DESCRIBE MODEL host; \
             EXPLAIN ANALYZE SELECT classify(image, 'whole'), classify(image, 'host') FROM 'photos/lion.jpg'; \
             EXPLAIN SELECT classify(image, 'whole') FROM 'photos/lion.jpg'",
            iris.display()
        ),
    );
    let described = shown.lines().filter(|line| line.starts_with("left to the CPU,")).collect::<Vec<_>>();
    let iris = "left to the CPU,\"2 of 2 nodes (100.0 %): LinearClassifier, Normalizer\",this machine";
    assert_eq!(described, ["left to the CPU,0 of 94 nodes,this machine", iris], "{shown}");
    let plans = shown.lines().filter(|line| line.contains("InferExec: ")).collect::<Vec<_>>();
    assert!(plans[0].contains("left_to_cpu=[whole 0 of 94 nodes], metrics="), "{}", plans[0]);
    // A plan that has not run says nothing of what the process has loaded.
    assert!(plans.len() == 2 && !plans[1].contains("left_to_cpu"), "{plans:?}");
}

fn is_tuned_beside_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    for linked in ["lib", "runtimes", "models", "photos"] {
        symlink(home().join(linked), folder.path().join(linked)).unwrap();
    }
    let tune = "TUNE MODEL efficientnet_lite0 USING (SELECT image FROM 'photos/c*.jpg') \
                OPTIONS (budget '10s', devices 'cpu,openvino', precisions 'f32,bf16', min_agreement '0'); \
                SELECT device, precision, count(rows_per_second) > 0 AS tried, min(agreement) > 0 AS compared \
                FROM tuning_trials('efficientnet_lite0') GROUP BY device, precision ORDER BY device, precision; \
                SELECT count(*) AS n FROM tuning_trials() WHERE outcome = 'chosen'; SHOW TUNING";
    let mut tuned = command("openvino", tune);
    let outcome = Outcome::of(tuned.env("SEEQUEL_HOME", folder.path()));
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let has_bf16 = ["avx512_bf16", "amx_bf16"].iter().any(|flag| flags.contains(flag));
    let bf16 = if has_bf16 { "true,true" } else { "false," };
    let expected =
        format!("cpu,bf16,false,\ncpu,f32,true,true\nopenvino,bf16,{bf16}\nopenvino,f32,true,true\n");
    assert!(outcome.stdout.contains(&expected), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("n\n1\n"), "one is chosen\n{}", outcome.stdout);
    // One for each kind of model: as it is, and with device or precision left open.
    for scope in [",cpu,f32,", ",auto,f32,", ",auto,auto,"] {
        assert!(outcome.stdout.contains(scope), "{scope}{}", outcome.stdout);
    }
}

/// Opening OpenVINO takes a twentieth of a second.
fn query_ends_while_it_loads() {
    common::query_ends_while_it_loads("openvino", Duration::from_millis(60));
}
