//! `device 'cuda'`, on a machine with an NVIDIA GPU and on one without.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::common;
use crate::support::{LITE0, Test, difference, error, missing_runtime, trials};

const TESTS: [Test; 8] = [
    ("cuda_agrees_with_the_cpu", agrees_with_the_cpu),
    ("cuda_classifies_and_embeds_as_the_cpu_does", classifies_and_embeds_as_the_cpu_does),
    ("cuda_is_one_member_of_an_ensemble", is_one_member_of_an_ensemble),
    ("cuda_has_its_figures_in_explain_analyze", has_its_figures_in_explain_analyze),
    ("cuda_runs_rows_of_a_refused_batch_alone", runs_rows_of_a_refused_batch_alone),
    ("cuda_refuses_lower_precisions_at_create", refuses_lower_precisions_at_create),
    ("cuda_query_ends_with_ctrl_c", query_ends_with_ctrl_c),
    ("cuda_query_ends_while_it_loads", query_ends_while_it_loads),
];

const WITHOUT_DRIVER: [Test; 1] =
    [("cuda_without_a_driver_is_refused_at_create", is_refused_at_create_without_a_driver)];

pub(crate) fn suite() -> Vec<Trial> {
    let missing = missing_runtime("cuda");
    let has_driver = Path::new("/dev/nvidiactl").exists();
    let reason =
        |is_left_out: bool, reason: &str| missing.clone().or_else(|| is_left_out.then(|| reason.to_owned()));
    let mut all = trials(&TESTS, reason(!has_driver, "there is no GPU").as_deref());
    all.extend(trials(&WITHOUT_DRIVER, reason(has_driver, "there is a GPU").as_deref()));
    all
}

fn is_refused_at_create_without_a_driver() {
    let sql = format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'cuda'); SELECT 'never'");
    let error = error("cuda", &sql);
    let expected = "Error: model 'm': option 'device': 'cuda:0' can't be used: NVIDIA's driver is missing: libcuda.so.1: ";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.contains("`make setup RUNTIME=cuda` installs CUDA 13 and cuDNN 9"), "{error}");
}

fn agrees_with_the_cpu() {
    let (difference, other) = difference("cuda", "device 'cuda'");
    assert!(difference < 1e-4 && other == 0, "{difference}, {other}");
}

static SHOWN: LazyLock<String> = LazyLock::new(|| common::shown("cuda"));

fn classifies_and_embeds_as_the_cpu_does() {
    common::classifies_and_embeds_as_the_cpu_does(&SHOWN);
}

fn is_one_member_of_an_ensemble() {
    common::is_one_member_of_an_ensemble(&SHOWN);
}

fn has_its_figures_in_explain_analyze() {
    common::has_its_figures_in_explain_analyze(&SHOWN, "device=cuda:0, batch_size=2, concurrency=2");
}

fn runs_rows_of_a_refused_batch_alone() {
    common::runs_rows_of_a_refused_batch_alone("cuda");
}

fn refuses_lower_precisions_at_create() {
    for precision in ["f16", "bf16"] {
        let sql = format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'cuda', precision '{precision}')");
        let error = error("cuda", &sql);
        let expected = format!("Error: model 'm': option 'precision': '{precision}' ");
        assert!(error.starts_with(&expected), "{error}");
    }
}

fn query_ends_with_ctrl_c() {
    common::query_ends_with_ctrl_c("cuda");
}

/// Opening the device, loading two sessions and their first batches, for which kernels are compiled, take two seconds.
fn query_ends_while_it_loads() {
    common::query_ends_while_it_loads("cuda", Duration::from_secs(3));
}
