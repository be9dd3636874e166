//! Execution providers: where a session computes.
//!
//! Each has a file with all that is particular to it. A new one is such a file and its line in [`KINDS`].

mod cpu;
mod cuda;
mod openvino;
mod processor;
mod tensorrt;
mod webgpu;

use std::collections::BTreeMap;
use std::fmt;

use itertools::Itertools;
use ort::memory::AllocationDevice;
use ort::session::builder::SessionBuilder;

use crate::model::spec::{Precision, Resources};

/// All providers, in the order of `SHOW DEVICES`.
pub(super) static KINDS: [&dyn Kind; 5] =
    [&cpu::Cpu, &openvino::OpenVino, &webgpu::WebGpu, &cuda::Cuda, &tensorrt::TensorRt];

/// What Seequel knows about a provider.
pub(super) trait Kind: fmt::Debug + Sync {
    /// Its name in the option `device`.
    fn name(&self) -> &'static str;

    /// Its name in ONNX Runtime.
    fn registered_name(&self) -> &'static str;

    /// The runtime that has it, as `--runtime` names it.
    fn runtime(&self) -> &'static str;

    /// Whether the opened library was built with it. The library must be open.
    fn is_offered(&self) -> ort::Result<bool>;

    /// Lets the session compute on device `number`, with the defaults of this provider under the user's options.
    fn register(
        &self,
        builder: SessionBuilder,
        number: u32,
        request: &Request<'_>,
    ) -> ort::Result<SessionBuilder>;

    /// The devices that it could use on this machine, by number.
    fn devices(&self) -> Vec<Hardware>;

    /// Why it can't compute in a precision other than f32, as the end of a sentence that starts with the precision.
    fn refuses(&self, _: Precision) -> Option<String> {
        let name = self.name();
        Some(format!("is not supported by {name}, which computes in f32; openvino computes in bf16 too"))
    }

    /// Whether `device` may have a number, as in `cuda:1`.
    fn is_numbered(&self) -> bool {
        false
    }

    /// Sessions that keep one device busy, if it is not a CPU, which needs one for each core.
    fn device_sessions(&self) -> Option<usize> {
        None
    }

    /// Its memory, if that is not the machine's and ONNX Runtime counts it.
    fn memory(&self) -> Option<AllocationDevice<'static>> {
        None
    }
}

/// What a session asks of its provider.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Threads of the session.
    pub(super) threads: usize,
    pub(super) precision: Precision,
    /// The option `provider_options`.
    pub(super) options: &'a BTreeMap<String, String>,
}

/// A device of this machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hardware {
    pub(super) name: Option<String>,
    pub(super) memory_bytes: Option<u64>,
}

/// Where a session computes, with `auto` resolved: a provider and the number of one of its devices.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    kind: &'static dyn Kind,
    number: u32,
}

impl Provider {
    /// The CPU provider, which every build of ONNX Runtime has.
    pub const CPU: Self = Self { kind: &cpu::Cpu, number: 0 };

    /// The CUDA device with this number.
    #[must_use]
    pub fn cuda(number: u32) -> Self {
        Self { kind: &cuda::Cuda, number }
    }

    /// The device that the option `device` names.
    ///
    /// # Errors
    /// The reason why there is none of this name or number.
    pub(super) fn named(name: &str, number: Option<u32>) -> Result<Self, String> {
        let Some(kind) = KINDS.into_iter().find(|kind| kind.name() == name) else {
            let all = KINDS.iter().map(|kind| {
                if kind.is_numbered() { format!("{}:0", kind.name()) } else { kind.name().to_owned() }
            });
            return Err(format!("'{name}' is no device; the devices are auto, {}", all.format(", ")));
        };
        if number.is_some() && !kind.is_numbered() {
            return Err(format!("'{name}' takes no number"));
        }
        Ok(Self { kind, number: number.unwrap_or(0) })
    }

    pub(super) fn kind(self) -> &'static dyn Kind {
        self.kind
    }

    /// Checks that the provider can compute in the precision of `resources`.
    ///
    /// # Errors
    /// The reason why it can't.
    pub(super) fn check_precision(self, resources: &Resources) -> Result<(), String> {
        match resources.precision {
            // A quantized graph, which int8 requires, has its precision in itself.
            Precision::Auto | Precision::F32 | Precision::Int8 => Ok(()),
            precision => match self.kind.refuses(precision) {
                Some(reason) => Err(format!("'{precision}' {reason}")),
                None => Ok(()),
            },
        }
    }

    /// Lets the session that `builder` makes compute here.
    pub(super) fn register(
        self,
        builder: SessionBuilder,
        resources: &Resources,
        threads: usize,
    ) -> ort::Result<SessionBuilder> {
        let request =
            Request { threads, precision: resources.precision, options: &resources.provider_options };
        self.kind.register(builder, self.number, &request)
    }

    /// The provider's own memory, if ONNX Runtime counts it: the kind and the number of the device.
    pub(super) fn memory(self) -> Option<(AllocationDevice<'static>, i32)> {
        Some((self.kind.memory()?, self.number.cast_signed()))
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        (self.kind.name(), self.number) == (other.kind.name(), other.number)
    }
}

impl Eq for Provider {}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spelling(self.kind, self.number))
    }
}

/// The option `device` for device `number` of a provider.
pub(super) fn spelling(kind: &dyn Kind, number: u32) -> String {
    if kind.is_numbered() { format!("{}:{number}", kind.name()) } else { kind.name().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_providers_with_or_without_a_number() {
        let named = |name, number| Provider::named(name, number).map(|provider| provider.to_string());
        assert_eq!(named("cpu", None), Ok("cpu".to_owned()));
        assert_eq!(named("openvino", None), Ok("openvino".to_owned()));
        assert_eq!(named("cuda", None), Ok("cuda:0".to_owned()));
        assert_eq!(named("webgpu", Some(1)), Ok("webgpu:1".to_owned()));
        assert_eq!(named("cpu", Some(1)), Err("'cpu' takes no number".to_owned()));
        let all = "'gpu' is no device; the devices are auto, cpu, openvino, webgpu:0, cuda:0, tensorrt:0";
        assert_eq!(named("gpu", None), Err(all.to_owned()));
    }

    #[test]
    fn every_name_and_runtime_is_known() {
        assert!(KINDS.iter().map(|kind| kind.name()).all_unique());
        for kind in KINDS {
            assert!(super::super::builds::NAMES.contains(&kind.runtime()), "{kind:?}");
        }
    }
}
