//! Execution providers: where a session computes.
//!
//! Each has a file with all that is particular to it. A new one is such a file and its line in [`KINDS`].

mod cpu;
mod cuda;
mod kind;
mod libraries;
mod machine;
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

use crate::model::spec::{Device, Precision, Resources, numbered};
use crate::model::tensor::PageLocker;

pub(crate) use machine::Machine;

pub(super) use kind::{Hardware, Kind};

use kind::Request;

/// All providers, in the order of `SHOW DEVICES`.
pub(super) static KINDS: [&dyn Kind; 5] =
    [&cpu::Cpu, &openvino::OpenVino, &webgpu::WebGpu, &cuda::Cuda, &tensorrt::TensorRt];

/// Where a model computes, with `auto` resolved: a provider, and one or several of its devices. A session computes on one
/// of them.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    kind: &'static dyn Kind,
    /// The numbers of the first device and of the last.
    first: u32,
    last: u32,
}

impl Provider {
    /// The CPU provider, which every build of ONNX Runtime has.
    pub const CPU: Self = Self { kind: &cpu::Cpu, first: 0, last: 0 };

    /// The CUDA device with this number.
    #[must_use]
    pub fn cuda(number: u32) -> Self {
        Self { kind: &cuda::Cuda, first: number, last: number }
    }

    /// `count` devices of the CPU provider, which stand in for several GPUs.
    #[cfg(test)]
    pub(super) fn cpus(count: u32) -> Self {
        Self { last: count - 1, ..Self::CPU }
    }

    /// What the device `auto` is, by what was measured to be fastest: the GPUs that CUDA can use, or else the CPU
    /// provider. Of GPUs that differ only the first: a slow one would hold back the end of a query.
    pub(super) fn auto(machine: &Machine) -> Self {
        let last = u32::try_from(machine.gpus.len()).unwrap_or(0).checked_sub(1);
        match last.map(|last| last.min(cuda::LAST_NUMBER)) {
            None => Self::CPU,
            Some(last) if machine.gpus.iter().all_equal() => Self { last, ..Self::cuda(0) },
            Some(_) => Self::cuda(0),
        }
    }

    /// The names of the GPUs that CUDA shows this process; one without a name if its driver lists none.
    pub(super) fn gpus() -> Vec<Option<String>> {
        cuda::shown().map_or_else(|| vec![None], |gpus| gpus.into_iter().map(|gpu| gpu.name).collect())
    }

    /// What the option `device` may name: `auto`, and the first device of each provider.
    pub(crate) fn devices() -> impl Iterator<Item = String> {
        std::iter::once("auto".to_owned()).chain(KINDS.into_iter().map(|kind| spelling(kind, 0)))
    }

    /// The device that the option `device` names.
    ///
    /// # Errors
    /// The reason why there is none of this name or number.
    pub(super) fn named(name: &str, numbers: Option<(u32, u32)>) -> Result<Self, String> {
        let Some(kind) = KINDS.into_iter().find(|kind| kind.name() == name) else {
            let all = Self::devices().format(", ").to_string();
            return Err(format!("'{name}' is no device; the devices are {all}"));
        };
        let (first, last) = numbers.unwrap_or((0, 0));
        let given = numbered(name, (first, last));
        match kind.last_number() {
            None if numbers.is_some() => Err(format!("'{name}' takes no number")),
            Some(0) if last > 0 => Err(format!("'{given}': {name} has one device, its number 0")),
            Some(highest) if last > highest => Err(format!("'{given}': the highest is {highest}")),
            _ => Ok(Self { kind, first, last }),
        }
    }

    /// The device that an option names; `None` for `auto` and names that no provider has.
    pub(super) fn of(device: &Device) -> Option<Self> {
        match device {
            Device::Auto => None,
            Device::Named { name, numbers } => Self::named(name, *numbers).ok(),
        }
    }

    pub(super) fn kind(self) -> &'static dyn Kind {
        self.kind
    }

    /// Each of its devices alone.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        (self.first..=self.last).map(move |number| Self { first: number, last: number, ..self })
    }

    /// The number of its devices.
    pub(super) fn count(self) -> usize {
        (self.last - self.first) as usize + 1
    }

    /// The hardware and the number of cores, which speed depends on: `AMD EPYC, 2 cores`.
    pub(super) fn machine(self, cores: usize) -> String {
        let names = |provider: Self| {
            let devices = provider.kind.devices().into_iter();
            let devices = devices.skip(provider.first as usize).take(provider.count());
            devices.filter_map(|device| device.name).dedup_with_count()
        };
        let counted = |(count, name)| if count == 1 { name } else { format!("{count} × {name}") };
        let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        // Images are decoded on the CPU for any device.
        names(self).chain(names(Self::CPU)).map(counted).chain([cores]).unique().join(", ")
    }

    /// Checks that the provider can compute in the precision of `resources`.
    ///
    /// # Errors
    /// The reason why it can't.
    pub(super) fn check_precision(self, resources: &Resources, machine: &Machine) -> Result<(), String> {
        match resources.precision {
            // A quantized graph, which int8 requires, has its precision in itself.
            Precision::Auto | Precision::F32 | Precision::Int8 => Ok(()),
            precision => match self.kind.refuses(precision, machine) {
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

    /// Lets the session that `builder` makes compute on the first device. The opened library is in `folder`; what the
    /// provider compiles is kept in the folder `cache`.
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
        self.kind.register(builder, self.first, &request)
    }

    /// What locks memory for copies to the first device, once a session is loaded, if it copies.
    pub(super) fn page_locker(self) -> Option<PageLocker> {
        self.kind.page_locker(self.first)
    }

    /// The share of the last moments in which the devices computed, 0 to 1, their mean, if their driver tells.
    pub(super) fn device_use(self) -> Option<f64> {
        let all = self.each().map(|device| self.kind.device_use(device.first)).sum::<Option<f64>>()?;
        Some(all / self.count() as f64)
    }

    /// The first device's own memory, if ONNX Runtime counts it: the kind and the number of the device.
    pub(super) fn memory(self) -> Option<(AllocationDevice<'static>, i32)> {
        Some((self.kind.memory()?, self.first.cast_signed()))
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.kind.name(), of.first, of.last);
        parts(self) == parts(other)
    }
}

impl Eq for Provider {}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.last_number() {
            Some(_) => f.write_str(&numbered(self.kind.name(), (self.first, self.last))),
            None => f.write_str(self.kind.name()),
        }
    }
}

/// The option `device` for device `number` of a provider.
pub(super) fn spelling(kind: &'static dyn Kind, number: u32) -> String {
    Provider { kind, first: number, last: number }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_providers_with_or_without_a_number() {
        let named = |name, numbers| Provider::named(name, numbers).map(|provider| provider.to_string());
        assert_eq!(named("cpu", None), Ok("cpu".to_owned()));
        assert_eq!(named("openvino", None), Ok("openvino".to_owned()));
        assert_eq!(named("cuda", None), Ok("cuda:0".to_owned()));
        assert_eq!(named("cuda", Some((1, 1))), Ok("cuda:1".to_owned()));
        assert_eq!(named("webgpu", Some((0, 0))), Ok("webgpu:0".to_owned()));
        assert_eq!(
            named("webgpu", Some((1, 1))),
            Err("'webgpu:1': webgpu has one device, its number 0".to_owned())
        );
        assert_eq!(named("cuda", Some((0, 3))), Ok("cuda:0..3".to_owned()));
        assert_eq!(
            named("webgpu", Some((0, 1))),
            Err("'webgpu:0..1': webgpu has one device, its number 0".to_owned())
        );
        assert_eq!(named("cuda", Some((0, 256))), Err("'cuda:0..256': the highest is 255".to_owned()));
        assert_eq!(named("cpu", Some((1, 1))), Err("'cpu' takes no number".to_owned()));
        let all = "'gpu' is no device; the devices are auto, cpu, openvino, webgpu:0, cuda:0, tensorrt:0";
        assert_eq!(named("gpu", None), Err(all.to_owned()));
    }

    #[test]
    fn auto_is_all_gpus_if_they_are_alike() {
        let auto = |names: &[Option<&str>]| {
            let gpus = names.iter().map(|name| name.map(ToOwned::to_owned)).collect();
            Provider::auto(&Machine { gpus, ..Machine::without_gpus() }).to_string()
        };
        assert_eq!(auto(&[]), "cpu");
        assert_eq!(auto(&[None]), "cuda:0");
        assert_eq!(auto(&[Some("NVIDIA A"); 4]), "cuda:0..3");
        assert_eq!(auto(&[Some("NVIDIA A"), Some("NVIDIA B")]), "cuda:0");
        assert_eq!(auto(&[None; 300]), "cuda:0..255");
    }

    #[test]
    fn several_devices_are_used_one_by_one() {
        let all = Provider::named("cuda", Some((1, 3))).unwrap();
        let each: Vec<_> = all.each().map(|device| device.to_string()).collect();
        assert_eq!(
            (all.count(), each.as_slice()),
            (3, ["cuda:1", "cuda:2", "cuda:3"].map(String::from).as_slice())
        );
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
