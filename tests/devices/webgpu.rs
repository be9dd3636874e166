//! `device 'webgpu'`, on Mesa's software driver or whatever Vulkan driver the machine has.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::support::{
    LABELS, LITE0, Outcome, Test, command, error, home, missing_runtime, model, run, signal, start, trials,
};

const TESTS: [Test; 8] = [
    ("webgpu_classifies_and_embeds_as_the_cpu_does", classifies_and_embeds_as_the_cpu_does),
    ("webgpu_is_one_member_of_an_ensemble", is_one_member_of_an_ensemble),
    ("webgpu_has_its_figures_in_explain_analyze", has_its_figures_in_explain_analyze),
    ("webgpu_runs_rows_of_a_refused_batch_alone", runs_rows_of_a_refused_batch_alone),
    ("webgpu_gives_refused_rows_errors", gives_refused_rows_errors),
    ("webgpu_reports_what_it_leaves_to_the_cpu", reports_what_it_leaves_to_the_cpu),
    ("webgpu_refuses_unknown_options_at_create", refuses_unknown_options_at_create),
    ("webgpu_query_ends_with_ctrl_c", query_ends_with_ctrl_c),
];

/// Needs the runtime, but no device.
const WITHOUT_DEVICE: [Test; 1] =
    [("webgpu_without_a_driver_is_refused_at_create", is_refused_without_a_driver)];

pub(crate) fn suite() -> Vec<Trial> {
    let missing = missing_runtime("webgpu");
    let without_device = trials(&WITHOUT_DEVICE, missing.as_deref());
    let mut all = trials(&TESTS, missing.or_else(missing_adapter).as_deref());
    all.extend(without_device);
    all
}

/// Says so if WebGPU finds no adapter. Any other error is one of the tests.
fn missing_adapter() -> Option<String> {
    let sql = format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'webgpu')");
    let outcome = Outcome::of(&mut command("webgpu", &sql));
    outcome.stderr.contains("Failed to get a WebGPU adapter").then(|| "there is no adapter".to_owned())
}

fn is_refused_without_a_driver() {
    let sql = format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'webgpu'); SELECT 'never'");
    let mut command = command("webgpu", &sql);
    let error = Outcome::of(command.env("VK_DRIVER_FILES", "/dev/null")).error();
    let expected =
        "Error: model 'm': option 'device': 'webgpu:0' can't be used: Failed to get a WebGPU adapter: ";
    let error = error.lines().find(|line| line.starts_with(expected)).unwrap_or_else(|| panic!("{error}"));
    assert!(
        error.ends_with("webgpu needs libvulkan1 and a Vulkan driver for a GPU; of Mesa's, one from 25.0 on"),
        "{error}"
    );
}

/// What one process shows of two photos: a line for each, then the plan with its metrics. The shaders of a model take
/// seconds to compile on a processor.
static SHOWN: LazyLock<String> = LazyLock::new(|| {
    let photos = "photos/c*.jpg";
    run(
        "webgpu",
        &format!(
            "CREATE MODEL host FROM {LITE0} OPTIONS ({LABELS}, device 'cpu'); \
             CREATE MODEL device FROM {LITE0} OPTIONS ({LABELS}, device 'webgpu', batch_size 2); \
             CREATE MODEL both AS ENSEMBLE OF (host, device) OPTIONS (combine 'mean'); \
             SELECT h['label'], h['confidence'], d['label'], d['confidence'], b['label'], b['confidence'], \
                    b['model'], cosine_similarity(e, f), b['error'] FROM ( \
               SELECT classify(image, 'host') AS h, classify(image, 'device') AS d, classify(image, 'both') AS b, \
                      embed(image, 'host') AS e, embed(image, 'device') AS f FROM '{photos}'); \
             EXPLAIN ANALYZE SELECT classify(image, 'both') FROM '{photos}'"
        ),
    )
});

/// The fields of a photo, of which [`SHOWN`] has one on each line after its header.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = SHOWN.lines().skip(1).take_while(|line| !line.is_empty() && !line.starts_with("plan_type"));
    let rows: Vec<Vec<_>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2, "{}", *SHOWN);
    rows
}

fn number(field: &str) -> f64 {
    field.parse().unwrap()
}

fn classifies_and_embeds_as_the_cpu_does() {
    for row in rows() {
        assert!(row[0] == row[2] && !row[0].is_empty(), "{row:?}");
        assert!((number(row[1]) - number(row[3])).abs() < 1e-4, "{row:?}");
        assert!(number(row[7]) > 0.9999, "{row:?}");
    }
}

fn is_one_member_of_an_ensemble() {
    for row in rows() {
        let mean = f64::midpoint(number(row[1]), number(row[3]));
        assert!(row[4] == row[0] && (number(row[5]) - mean).abs() < 1e-5, "{row:?}");
        assert_eq!((row[6], row[8]), ("both", ""), "{row:?}");
    }
}

fn has_its_figures_in_explain_analyze() {
    let plan = SHOWN.lines().find(|line| line.contains("InferExec: ")).unwrap();
    assert!(plan.contains("device {device=webgpu:0, batch_size=2, concurrency=1}"), "{plan}");
    assert!(plan.contains("left_to_cpu=[device 0 of 94 nodes], metrics="), "{plan}");
    assert!(plan.contains("inferred_rows=4,") && plan.contains("failed_rows=0,"), "{plan}");
    assert!(["infer_time=", "load_time=", "queue_time="].iter().all(|time| plan.contains(time)), "{plan}");
}

/// The model's graph fails on more than one image, and declares otherwise.
fn runs_rows_of_a_refused_batch_alone() {
    let single = model("single");
    let shown = run(
        "webgpu",
        &format!(
            "CREATE MODEL m FROM '{}' OPTIONS (device 'webgpu', task 'image-classification', batch_size 4); \
             SELECT count(*) AS photos, count(p['label']) AS labels, count(p['error']) AS errors \
             FROM (SELECT classify(image, 'm') AS p FROM 'photos/*.jpg'); \
             EXPLAIN ANALYZE SELECT classify(image, 'm') FROM 'photos/*.jpg'",
            single.display()
        ),
    );
    let photos = std::fs::read_dir(home().join("photos")).unwrap();
    let photos =
        photos.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "jpg"));
    let photos = photos.count();
    assert_eq!(shown.lines().nth(1), Some(format!("{photos},{photos},0").as_str()), "{shown}");
    let batches: usize = shown.split(" batches=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(batches, photos, "the bound that the first query found holds: {shown}");
    assert!(
        shown.contains("batch_size=4→1 (more are refused)") && shown.contains("failed_rows=0,"),
        "{shown}"
    );
}

/// The model's graph fails on a list of odd length; the query goes on.
fn gives_refused_rows_errors() {
    let halves = model("halves");
    let sql = format!(
        "CREATE MODEL m FROM '{}' OPTIONS (device 'webgpu'); \
         SELECT array_length(x) AS n, predict('m', x)['sums'] AS sums \
         FROM (VALUES ([1.0, 2.0]), ([1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0, 4.0])) AS lists (x) ORDER BY n",
        halves.display()
    );
    let outcome = Outcome::of(&mut command("webgpu", &sql));
    assert_eq!(
        outcome.stdout.trim_end(),
        "n,sums\n2,\"[1.0,2.0]\"\n3,\n4,\"[3.0,7.0]\"",
        "{}",
        outcome.stderr
    );
    let reason = "The input tensor cannot be reshaped to the requested shape. Input shape:{1,3}, requested shape:{1,2,-1}";
    assert!(outcome.stderr.contains(reason), "{}", outcome.stderr);
    assert_eq!(outcome.status, Some(0));
}

/// WebGPU has no integers of 64 bits unless it is asked for them.
fn reports_what_it_leaves_to_the_cpu() {
    let tinted = model("tinted");
    let shown = run(
        "webgpu",
        &format!(
            "CREATE MODEL m FROM '{}' OPTIONS (device 'webgpu'); DESCRIBE MODEL m; \
             EXPLAIN ANALYZE SELECT predict('m', image, 1.0, [2]) FROM 'photos/lion.jpg'",
            tinted.display()
        ),
    );
    let left = "2 of 6 nodes (33.3 %): Cast, ReduceSum";
    assert!(shown.contains(&format!("left to the CPU,\"{left}\",this machine")), "{shown}");
    assert!(shown.contains(&format!("left_to_cpu=[m {left}], metrics=")), "{shown}");
}

fn refuses_unknown_options_at_create() {
    let create = |options: &str| {
        let sql =
            format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'webgpu', provider_options '{options}')");
        error("webgpu", &sql)
    };
    // The provider itself ignores it.
    let unknown = create(r#"{"nonsense": 1}"#);
    assert!(
        unknown.contains("option 'provider_options': webgpu has no option 'nonsense'; its options are "),
        "{unknown}"
    );
    let invalid = create(r#"{"preferredLayout": "nonsense"}"#);
    let expected = "option 'provider_options': refused by webgpu:0: Invalid preferred layout: nonsense\n";
    assert!(invalid.contains(expected), "{invalid}");
}

/// The process waits until its workers have freed sessions and tensors, and exits as it does on the CPU.
fn query_ends_with_ctrl_c() {
    let sql = format!(
        "CREATE MODEL m FROM {LITE0} OPTIONS ({LABELS}, device 'webgpu', batch_size 1); \
         SELECT 'ready'; \
         SELECT count(classify(image, 'm')) FROM 'photos/*.jpg', generate_series(1, 1000)"
    );
    let mut query = command("webgpu", &sql);
    let (mut query, _watchdog) = start(&mut query, Stdio::null());
    let shown = BufReader::new(query.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(shown.take(2).any(|line| line == "ready"));
    thread::sleep(Duration::from_secs(3));
    signal(query.id(), "INT");
    let status = query.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{status}");
}
