//! Options for running a model: device, batch size, sessions and threads.
//!
//! `auto`, here `None`, is chosen later for the device; an explicit value is used unchanged.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::model::input::MAX_BATCH;
use crate::model::settings::{Settings, Source, count, keyword, keywords, share, text};

/// Maximum sessions per model and threads per session, more than any machine has cores.
const MAX_PARALLEL: usize = 1024;

/// Device, batch size, sessions and threads of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// The device to run on.
    pub device: Device,
    /// Rows per batch; `None` leaves it to the planner.
    pub batch_size: Option<usize>,
    /// Minimum and maximum sessions in the pool, at least 1; `None` leaves it to the planner.
    pub concurrency: Option<(usize, usize)>,
    /// Threads per session; `None` leaves it to the planner.
    pub num_cpus: Option<usize>,
    /// Fraction of the device per session, above 0 and at most 1; `None` leaves it to the planner.
    pub num_gpus: Option<f32>,
    /// Precision the provider may compute in.
    pub precision: Precision,
    /// Passed to the provider unchanged.
    pub provider_options: BTreeMap<String, String>,
}

/// The device ONNX Runtime runs a model on; availability depends on the loaded library.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Device {
    /// The fastest available device.
    Auto,
    /// A device of an execution provider, such as `cpu`, `openvino` or `cuda:1`, or several, such as `cuda:0..3`.
    Named {
        /// The provider, in lower case.
        name: String,
        /// Which of its devices, the first and the last, if that is given.
        numbers: Option<(u32, u32)>,
    },
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Named { name, numbers: None } => f.pad(name),
            Self::Named { name, numbers: Some(numbers) } => f.pad(&numbered(name, *numbers)),
        }
    }
}

/// `cuda:1`, or `cuda:0..3`: the devices of a provider from the first to the last of `numbers`.
pub(crate) fn numbered(name: &str, numbers: (u32, u32)) -> String {
    match numbers {
        (first, last) if first == last => format!("{name}:{first}"),
        (first, last) => format!("{name}:{first}..{last}"),
    }
}

/// Text that is not a valid device name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a device such as auto, cpu, openvino, webgpu:0 or cuda:0")]
pub struct UnknownDevice(String);

/// Accepts any provider's name: `model/runtime` knows them all.
impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let lower = text.to_ascii_lowercase();
        let unknown = || UnknownDevice(text.to_string());
        if lower == "auto" {
            return Ok(Self::Auto);
        }
        let (name, numbers) = match lower.split_once(':') {
            None => (lower.as_str(), None),
            Some((name, numbers)) => (name, Some(first_and_last(numbers).ok_or_else(unknown)?)),
        };
        if is_name(name) && name != "auto" {
            Ok(Self::Named { name: name.to_string(), numbers })
        } else {
            Err(unknown())
        }
    }
}

/// The ends of `1` or `0..3`.
fn first_and_last(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(allowed)
}

keywords! {
    /// Precision a provider may compute in, independent of the types of the model's tensors.
    pub enum Precision {
        /// What TUNE chose, or else single precision.
        Auto = "auto",
        /// IEEE 754 single precision.
        F32 = "f32",
        /// The upper half of single precision.
        Bf16 = "bf16",
        /// IEEE 754 half precision.
        F16 = "f16",
        /// Integers of 8 bits, in a quantized graph.
        Int8 = "int8",
    }
}

impl Precision {
    /// The precision without TUNE.
    #[must_use]
    pub fn resolved(self) -> Self {
        if self == Self::Auto { Self::F32 } else { self }
    }
}

impl Resources {
    /// Resolves the resource options; `fixed_batch` is the only batch size that the graph accepts, if fixed, and
    /// `is_quantized` whether it computes in integers.
    pub(crate) fn resolve(
        settings: &mut Settings<'_>,
        fixed_batch: Option<usize>,
        is_quantized: bool,
    ) -> Result<Self> {
        settings.get("provider_options", |value, source| {
            let options = provider_options(value)?.0;
            let library = options.keys().find(|key| *source != Source::Options && names_library(key));
            library.map_or(Ok(()), |key| Err(format!("only OPTIONS may name a library, as '{key}' does")))
        })?;
        Ok(Self {
            device: settings.resolve("device", keyword, Device::Auto)?,
            batch_size: batch_size(settings, fixed_batch)?,
            concurrency: settings
                .resolve("concurrency", |value| auto(value, sessions), Auto(None))?
                .0
                .map(Into::into),
            num_cpus: settings.resolve("num_cpus", |value| auto(value, threads), Auto(None))?.0,
            num_gpus: settings.resolve("num_gpus", |value| auto(value, share), Auto(None))?.0,
            precision: precision(settings, is_quantized)?,
            provider_options: settings
                .resolve("provider_options", provider_options, ProviderOptions::default())?
                .0,
        })
    }
}

fn batch_size(settings: &mut Settings<'_>, fixed_batch: Option<usize>) -> Result<Option<usize>> {
    let size = settings.resolve(
        "batch_size",
        |value| auto(value, |value| count(value, 1..=MAX_BATCH)),
        Auto(None),
    )?;
    match (size.0, fixed_batch) {
        (Some(size), Some(fixed)) if size != fixed => {
            let reason = format!("the graph takes batches of {fixed} and no other; leave the option out");
            Err(settings.option_error("batch_size", &reason))
        }
        (size, _) => Ok(size),
    }
}

fn precision(settings: &mut Settings<'_>, is_quantized: bool) -> Result<Precision> {
    let precision = settings.resolve("precision", keyword, Precision::F32)?;
    if precision == Precision::Int8 && !is_quantized {
        let reason = "'int8' needs a quantized graph, and this one computes in floating point; \
                      CREATE MODEL … AS QUANTIZED makes one of it";
        return Err(settings.option_error("precision", reason));
    }
    Ok(precision)
}

/// A value, or `auto`.
struct Auto<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Auto<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("auto"),
        }
    }
}

fn auto<T>(value: &Value, read: impl FnOnce(&Value) -> Result<T, String>) -> Result<Auto<T>, String> {
    let is_auto = value.as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case("auto"));
    if is_auto { Ok(Auto(None)) } else { Ok(Auto(Some(read(value)?))) }
}

/// Minimum and maximum sessions.
struct Sessions(usize, usize);

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { write!(f, "{}", self.0) } else { write!(f, "{}..{}", self.0, self.1) }
    }
}

impl From<Sessions> for (usize, usize) {
    fn from(Sessions(min, max): Sessions) -> Self {
        (min, max)
    }
}

fn sessions(value: &Value) -> Result<Sessions, String> {
    let text = text(value)?;
    let (min, max) = text.split_once("..").unwrap_or((&text, &text));
    let side = |text: &str| text.trim().parse().ok().filter(|count| (1..=MAX_PARALLEL).contains(count));
    match (side(min), side(max)) {
        (Some(min), Some(max)) if min <= max => Ok(Sessions(min, max)),
        _ => Err(format!(
            "'{text}' is not a number of sessions from 1 to {MAX_PARALLEL}, such as 2, or a range such as 1..4"
        )),
    }
}

fn threads(value: &Value) -> Result<usize, String> {
    count(value, 1..=MAX_PARALLEL)
}

/// Printed as the JSON object it is read from.
#[derive(Default)]
struct ProviderOptions(BTreeMap<String, String>);

impl fmt::Display for ProviderOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde_json::json!(self.0).fmt(f)
    }
}

fn provider_options(value: &Value) -> Result<ProviderOptions, String> {
    let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    let Value::Object(object) = parsed.as_ref().unwrap_or(value) else {
        return Err(format!("{value} is not a JSON object such as {{\"num_streams\": 1}}"));
    };
    let pairs = object.iter().map(|(key, value)| Ok((key.clone(), provider_option(value)?)));
    let options = ProviderOptions(pairs.collect::<Result<_, String>>()?);
    // ONNX Runtime takes strings that end with one.
    if options.0.iter().any(|(key, value)| key.contains('\0') || value.contains('\0')) {
        return Err("a provider's option can't contain a NUL".to_string());
    }
    Ok(options)
}

/// Whether a provider loads code that the option `key` names, such as TensorRT's `trt_extra_plugin_lib_paths`.
fn names_library(key: &str) -> bool {
    ["lib", "plugin"].iter().any(|part| key.to_ascii_lowercase().contains(part))
}

/// Objects are passed as their JSON, such as OpenVINO's `load_config`.
fn provider_option(value: &Value) -> Result<String, String> {
    if value.is_object() { Ok(value.to_string()) } else { text(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options;

    fn resolve(pairs: &[(&str, &str)], fixed_batch: Option<usize>) -> Result<Resources, String> {
        let resolved =
            options(pairs).and_then(|mut settings| Resources::resolve(&mut settings, fixed_batch, false));
        resolved.map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_leave_everything_to_the_planner() {
        let auto = Resources {
            device: Device::Auto,
            batch_size: None,
            concurrency: None,
            num_cpus: None,
            num_gpus: None,
            precision: Precision::F32,
            provider_options: BTreeMap::new(),
        };
        assert_eq!(resolve(&[], None), Ok(auto.clone()));
        assert_eq!(resolve(&[("batch_size", "AUTO"), ("concurrency", "auto")], Some(1)), Ok(auto));
    }

    #[test]
    fn explicit_values_are_kept() -> Result<(), String> {
        let resources = resolve(
            &[
                ("device", "CUDA:1"),
                ("batch_size", "8"),
                ("concurrency", "1..4"),
                ("num_cpus", "2"),
                ("num_gpus", "0.5"),
                ("precision", "BF16"),
                (
                    "provider_options",
                    r#"{"num_streams": 1, "cache": "/c", "load_config": {"CPU": {"A": "1"}}}"#,
                ),
            ],
            Some(8),
        )?;
        let provider_options =
            [("num_streams", "1"), ("cache", "/c"), ("load_config", r#"{"CPU":{"A":"1"}}"#)]
                .map(|(k, v)| (k.to_string(), v.to_string()));
        let expected = Resources {
            device: Device::Named { name: "cuda".to_string(), numbers: Some((1, 1)) },
            batch_size: Some(8),
            concurrency: Some((1, 4)),
            num_cpus: Some(2),
            num_gpus: Some(0.5),
            precision: Precision::Bf16,
            provider_options: provider_options.into(),
        };
        assert_eq!(resources, expected);
        Ok(())
    }

    #[test]
    fn device_is_auto_cpu_or_any_provider() {
        let named = |name: &str, numbers| Ok(Device::Named { name: name.to_string(), numbers });
        assert_eq!("Auto".parse(), Ok(Device::Auto));
        assert_eq!("cuda".parse(), named("cuda", None));
        assert_eq!("OpenVINO".parse(), named("openvino", None));
        assert_eq!("tensorrt:0".parse(), named("tensorrt", Some((0, 0))));
        assert_eq!("cuda:0..3".parse(), named("cuda", Some((0, 3))));
        for text in ["cuda", "cuda:1", "cuda:0..3"] {
            assert_eq!(text.parse::<Device>().map(|device| device.to_string()), Ok(text.to_string()));
        }
        for text in ["", "auto:0", "cuda:x", "cuda:-1", "cuda:3..0", "cuda:0..", "tensorrt:", "a b", ":0"] {
            assert_eq!(text.parse::<Device>(), Err(UnknownDevice(text.to_string())));
        }
    }

    #[test]
    fn errors_name_the_option() {
        let error = |key, value| resolve(&[(key, value)], Some(4)).err().unwrap_or_default();
        let errors = [
            error("batch_size", "0"),
            error("batch_size", "8"),
            error("concurrency", "4..1"),
            error("num_cpus", "many"),
            error("num_gpus", "2"),
            error("precision", "int8"),
            error("precision", "int4"),
            error("device", "gpu 0"),
            error("provider_options", "num_streams=1"),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r#"
        model 'm': option 'batch_size': '0' is not a whole number from 1 to 65536
        model 'm': option 'batch_size': the graph takes batches of 4 and no other; leave the option out
        model 'm': option 'concurrency': '4..1' is not a number of sessions from 1 to 1024, such as 2, or a range such as 1..4
        model 'm': option 'num_cpus': 'many' is not a whole number from 1 to 1024
        model 'm': option 'num_gpus': 2 is not above 0 and at most 1
        model 'm': option 'precision': 'int8' needs a quantized graph, and this one computes in floating point; CREATE MODEL … AS QUANTIZED makes one of it
        model 'm': option 'precision': 'int4' is not one of auto, f32, bf16, f16, int8
        model 'm': option 'device': 'gpu 0' is not a device such as auto, cpu, openvino, webgpu:0 or cuda:0
        model 'm': option 'provider_options': "num_streams=1" is not a JSON object such as {"num_streams": 1}
        "#);
    }
}
