//! Execution providers: where a session computes.
//!
//! Each has a file with all that is particular to it. A new one is such a file and its line in [`KINDS`].

mod cpu;
mod cuda;
mod kind;
mod libraries;
mod openvino;
mod processor;
mod tensorrt;
mod webgpu;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use itertools::Itertools;
use ort::memory::AllocationDevice;
use ort::session::builder::SessionBuilder;

use crate::model::spec::{Device, Precision, Resources};
use crate::model::tensor::PageLocker;

pub(super) use kind::{Hardware, Kind};

use kind::Request;

/// All providers, in the order of `SHOW DEVICES`.
pub(super) static KINDS: [&dyn Kind; 5] =
    [&cpu::Cpu, &openvino::OpenVino, &webgpu::WebGpu, &cuda::Cuda, &tensorrt::TensorRt];

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

    /// What the option `device` may name: `auto`, and the first device of each provider.
    pub(crate) fn devices() -> impl Iterator<Item = String> {
        std::iter::once("auto".to_owned()).chain(KINDS.into_iter().map(|kind| spelling(kind, 0)))
    }

    /// The device that the option `device` names.
    ///
    /// # Errors
    /// The reason why there is none of this name or number.
    pub(super) fn named(name: &str, number: Option<u32>) -> Result<Self, String> {
        let Some(kind) = KINDS.into_iter().find(|kind| kind.name() == name) else {
            let all = Self::devices().format(", ").to_string();
            return Err(format!("'{name}' is no device; the devices are {all}"));
        };
        match (number, kind.last_number()) {
            (Some(_), None) => Err(format!("'{name}' takes no number")),
            (Some(number), Some(0)) if number > 0 => {
                Err(format!("'{name}:{number}': {name} has one device, its number 0"))
            }
            (Some(number), Some(last)) if number > last => {
                Err(format!("'{name}:{number}': the highest is {last}"))
            }
            _ => Ok(Self { kind, number: number.unwrap_or(0) }),
        }
    }

    /// The device that an option names; `None` for `auto` and names that no provider has.
    pub(super) fn of(device: &Device) -> Option<Self> {
        match device {
            Device::Auto => None,
            Device::Named { name, number } => Self::named(name, *number).ok(),
        }
    }

    pub(super) fn kind(self) -> &'static dyn Kind {
        self.kind
    }

    /// The hardware and the number of cores, which speed depends on: `AMD EPYC, 2 cores`.
    pub(super) fn machine(self) -> String {
        let name = |provider: Self| {
            provider.kind.devices().into_iter().nth(provider.number as usize).and_then(|device| device.name)
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        // Images are decoded on the CPU for any device.
        [name(self), name(Self::CPU), Some(cores)].into_iter().flatten().unique().join(", ")
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

    /// Checks the names in `provider_options`, if the provider does not do so by itself.
    ///
    /// # Errors
    /// The reason why there is no option of that name.
    pub(super) fn check_options(self, options: &BTreeMap<String, String>) -> Result<(), String> {
        let Some(known) = self.kind.options() else { return Ok(()) };
        let unknown = options.keys().find(|key| !known.contains(&key.as_str()));
        match (unknown, self.kind.name()) {
            (None, _) => Ok(()),
            (Some(key), name) if known.is_empty() => {
                Err(format!("'{key}' is for another device: {name} takes no options"))
            }
            (Some(key), name) => {
                Err(format!("{name} has no option '{key}'; its options are {}", known.iter().format(", ")))
            }
        }
    }

    /// Lets the session that `builder` makes compute here. The opened library is in `folder`; what the provider compiles
    /// is kept in the folder `cache`.
    pub(super) fn register(
        self,
        builder: SessionBuilder,
        folder: Option<&Path>,
        resources: &Resources,
        threads: usize,
        cache: &Path,
    ) -> ort::Result<SessionBuilder> {
        let (driver, needed) = (self.kind.driver(), self.kind.libraries());
        libraries::open(driver, needed, folder).map_err(ort::Error::new)?;
        let request = Request {
            threads,
            precision: resources.precision,
            share: resources.num_gpus.map(f64::from),
            cache,
            options: &resources.provider_options,
        };
        self.kind.register(builder, self.number, &request)
    }

    /// What locks memory for copies to the device, once a session is loaded, if it copies.
    pub(super) fn page_locker(self) -> Option<PageLocker> {
        self.kind.page_locker(self.number)
    }

    /// The share of the last moments in which the device computed, 0 to 1, if its driver tells.
    pub(super) fn device_use(self) -> Option<f64> {
        self.kind.device_use(self.number)
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
    if kind.last_number().is_some() { format!("{}:{number}", kind.name()) } else { kind.name().to_owned() }
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
        assert_eq!(named("cuda", Some(1)), Ok("cuda:1".to_owned()));
        assert_eq!(named("webgpu", Some(0)), Ok("webgpu:0".to_owned()));
        assert_eq!(
            named("webgpu", Some(1)),
            Err("'webgpu:1': webgpu has one device, its number 0".to_owned())
        );
        assert_eq!(named("cuda", Some(u32::MAX)), Err("'cuda:4294967295': the highest is 255".to_owned()));
        assert_eq!(named("cpu", Some(1)), Err("'cpu' takes no number".to_owned()));
        let all = "'gpu' is no device; the devices are auto, cpu, openvino, webgpu:0, cuda:0, tensorrt:0";
        assert_eq!(named("gpu", None), Err(all.to_owned()));
    }

    #[test]
    fn options_are_those_of_the_provider() {
        let check = |device, key: &str| {
            let options = [(key.to_owned(), "1".to_owned())].into();
            Provider::named(device, None).unwrap().check_options(&options)
        };
        assert_eq!(check("webgpu", "preferredLayout"), Ok(()));
        assert_eq!(check("openvino", "which checks them itself"), Ok(()));
        assert!(
            check("webgpu", "webgpuDevice")
                .unwrap_err()
                .starts_with("webgpu has no option 'webgpuDevice'; its options are dawnBackendType, ")
        );
        assert_eq!(
            check("cpu", "num_streams"),
            Err("'num_streams' is for another device: cpu takes no options".to_owned())
        );
    }
}
