//! `device 'openvino'`: Intel's kernels for processors, and for its GPUs and NPUs by the provider option `device_type`.

use ort::ep::{ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, OpenVINO};
use ort::session::builder::SessionBuilder;
use serde_json::{Map, Value, json};

use super::kind::{Hardware, Kind, Request};
use super::machine::Machine;
use super::processor;
use crate::model::spec::Precision;

/// The provider option with OpenVINO's own settings, for each device.
const SETTINGS: &str = "load_config";

/// The provider option that names the device.
const DEVICE_TYPE: &str = "device_type";

#[derive(Debug)]
pub(super) struct OpenVino;

impl Kind for OpenVino {
    fn name(&self) -> &'static str {
        "openvino"
    }

    fn registered_name(&self) -> &'static str {
        OpenVINO::NAME
    }

    fn runtime(&self) -> &'static str {
        "openvino"
    }

    fn is_offered(&self) -> ort::Result<bool> {
        OpenVINO::is_available()
    }

    fn register(
        &self,
        builder: SessionBuilder,
        _: u32,
        request: &Request<'_>,
    ) -> ort::Result<SessionBuilder> {
        let device = request.options.get(DEVICE_TYPE).map_or("CPU", String::as_str);
        let settings = settings(device, request);
        let mut provider = request.configure(OpenVINO::default().with_device_type(device));
        if let Some(settings) = settings {
            provider = provider.with_arbitrary_config(SETTINGS, settings);
        }
        Ok(builder.with_execution_providers([provider.build().error_on_failure()])?)
    }

    fn devices(&self) -> Vec<Hardware> {
        vec![processor::hardware()]
    }

    /// OpenVINO would compute in f32 without a word on a processor that lacks the instructions.
    fn refuses(&self, precision: Precision, machine: &Machine) -> Option<String> {
        let (has_it, features) = match precision {
            Precision::Bf16 => (machine.bf16, "avx512_bf16 or amx_bf16"),
            Precision::F16 => (machine.f16, "avx512_fp16 or amx_fp16"),
            Precision::Auto | Precision::F32 | Precision::Int8 => return None,
        };
        let other = if precision == Precision::F16 && machine.bf16 { "; it has bf16" } else { "" };
        let missing = format!("needs a processor with {features}, and this one has neither{other}");
        (!has_it).then_some(missing)
    }
}

/// The settings for `device`: ours, with the user's on top. `None` if the user names a file of settings.
///
/// The precision is always given, since OpenVINO's default depends on the processor. A session has one stream on its
/// own threads: without these three settings OpenVINO pins the threads of all sessions to the same core.
fn settings(device: &str, request: &Request<'_>) -> Option<String> {
    let precision = match request.precision {
        Precision::Bf16 => "bf16",
        Precision::F16 => "f16",
        Precision::Auto | Precision::F32 | Precision::Int8 => "f32",
    };
    // GPU.1 is device 1 of GPU, whose settings are under GPU.
    let name = device.split('.').next().unwrap_or(device);
    let mut ours = Map::from_iter([("INFERENCE_PRECISION_HINT".to_owned(), json!(precision))]);
    if name == "CPU" {
        ours.insert("INFERENCE_NUM_THREADS".to_owned(), json!(request.threads.to_string()));
        ours.insert("NUM_STREAMS".to_owned(), json!("1"));
        ours.insert("ENABLE_CPU_PINNING".to_owned(), json!("NO"));
    }
    let mut all = match request.options.get(SETTINGS).map(|given| serde_json::from_str(given)) {
        None => Map::new(),
        Some(Ok(Value::Object(given))) => given,
        Some(_) => return None,
    };
    match all.get_mut(name) {
        Some(Value::Object(given)) => {
            ours.append(given);
            *given = ours;
        }
        // OpenVINO says what is wrong with it.
        Some(_) => {}
        None => {
            all.insert(name.to_owned(), Value::Object(ours));
        }
    }
    Some(Value::Object(all).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings_for(device: &str, precision: Precision, given: Option<&str>) -> Option<Value> {
        let options: BTreeMap<_, _> =
            given.map(|given| (SETTINGS.to_owned(), given.to_owned())).into_iter().collect();
        let cache = std::path::Path::new("");
        let request = Request { threads: 2, precision, share: None, cache, options: &options };
        settings(device, &request).map(|text| serde_json::from_str(&text).unwrap())
    }

    fn cpu(precision: &str) -> Value {
        json!({
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": "2",
            "NUM_STREAMS": "1",
            "ENABLE_CPU_PINNING": "NO",
        })
    }

    #[test]
    fn a_session_has_its_precision_and_one_stream_on_its_own_threads() {
        assert_eq!(settings_for("CPU", Precision::Auto, None), Some(json!({"CPU": cpu("f32")})));
        assert_eq!(settings_for("CPU", Precision::Bf16, None), Some(json!({"CPU": cpu("bf16")})));
        let gpu = json!({"GPU": {"INFERENCE_PRECISION_HINT": "f16"}});
        assert_eq!(settings_for("GPU.1", Precision::F16, None), Some(gpu));
    }

    #[test]
    fn a_processor_without_the_instructions_is_refused() {
        let machine = Machine { bf16: true, f16: false, ..Machine::without_gpus() };
        assert_eq!(OpenVino.refuses(Precision::Bf16, &machine), None);
        let refused = OpenVino.refuses(Precision::F16, &machine).unwrap();
        assert_eq!(
            refused,
            "needs a processor with avx512_fp16 or amx_fp16, and this one has neither; it has bf16"
        );
        assert!(OpenVino.refuses(Precision::Bf16, &Machine { bf16: false, ..machine }).is_some());
    }

    #[test]
    fn settings_of_the_user_win() {
        let given = r#"{"CPU": {"NUM_STREAMS": "4"}, "GPU": {"A": "1"}}"#;
        let mut expected = json!({"CPU": cpu("f32"), "GPU": {"A": "1"}});
        expected["CPU"]["NUM_STREAMS"] = json!("4");
        assert_eq!(settings_for("CPU", Precision::F32, Some(given)), Some(expected));
        assert_eq!(settings_for("CPU", Precision::F32, Some("/etc/openvino.json")), None);
    }
}
