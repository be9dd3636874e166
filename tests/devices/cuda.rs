//! `device 'cuda'` on a machine without a GPU.

use std::path::Path;

use libtest_mimic::Trial;

use crate::support::{LITE0, Test, error, missing_runtime, trials};

const TESTS: [Test; 1] =
    [("cuda_without_a_driver_is_refused_at_create", is_refused_at_create_without_a_driver)];

pub(crate) fn suite() -> Vec<Trial> {
    let has_driver = Path::new("/dev/nvidiactl").exists().then(|| "there is a GPU".to_owned());
    trials(&TESTS, missing_runtime("cuda").or(has_driver).as_deref())
}

fn is_refused_at_create_without_a_driver() {
    let sql = format!("CREATE MODEL m FROM {LITE0} OPTIONS (device 'cuda'); SELECT 'never'");
    let error = error("cuda", &sql);
    let expected = "Error: model 'm': option 'device': 'cuda:0' can't be used: NVIDIA's driver is missing: libcuda.so.1: ";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.contains("`make setup RUNTIME=cuda` installs CUDA 13 and cuDNN 9"), "{error}");
}
