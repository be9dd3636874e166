//! `device 'webgpu'`, on Mesa's software driver or whatever Vulkan driver the machine has.

use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::common;
use crate::support::{LITE0, Outcome, Test, command, error, missing_runtime, model, run, trials};

const TESTS: [Test; 9] = [
    ("webgpu_classifies_and_embeds_as_the_cpu_does", classifies_and_embeds_as_the_cpu_does),
    ("webgpu_is_one_member_of_an_ensemble", is_one_member_of_an_ensemble),
    ("webgpu_has_its_figures_in_explain_analyze", has_its_figures_in_explain_analyze),
    ("webgpu_runs_rows_of_a_refused_batch_alone", runs_rows_of_a_refused_batch_alone),
    ("webgpu_gives_refused_rows_errors", gives_refused_rows_errors),
    ("webgpu_reports_what_it_leaves_to_the_cpu", reports_what_it_leaves_to_the_cpu),
    ("webgpu_refuses_unknown_options_at_create", refuses_unknown_options_at_create),
    ("webgpu_query_ends_with_ctrl_c", query_ends_with_ctrl_c),
    ("webgpu_query_ends_while_it_loads", query_ends_while_it_loads),
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

/// What most tests look at. The shaders of a model take seconds to compile on a processor.
static SHOWN: LazyLock<String> = LazyLock::new(|| common::shown("webgpu"));

fn classifies_and_embeds_as_the_cpu_does() {
    common::classifies_and_embeds_as_the_cpu_does(&SHOWN);
}

fn is_one_member_of_an_ensemble() {
    common::is_one_member_of_an_ensemble(&SHOWN);
}

fn has_its_figures_in_explain_analyze() {
    common::has_its_figures_in_explain_analyze(&SHOWN, "device=webgpu:0, batch_size=2, concurrency=1");
}

fn runs_rows_of_a_refused_batch_alone() {
    common::runs_rows_of_a_refused_batch_alone("webgpu");
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

fn query_ends_with_ctrl_c() {
    common::query_ends_with_ctrl_c("webgpu");
}

/// Opening the device takes a twentieth of a second, and compiling the shaders a few seconds.
fn query_ends_while_it_loads() {
    common::query_ends_while_it_loads("webgpu", Duration::from_millis(300));
}
