//! The devices that a model could run on, with the loaded library or another.

use std::path::{Path, PathBuf};

use super::builds;
use super::library::Runtime;
use super::providers::{Hardware, KINDS, Kind, Machine, spelling};
use crate::Result;

/// A device, or a provider that needs something before it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// How the option `device` names it.
    pub device: String,
    /// ONNX Runtime's name of its provider.
    pub provider: &'static str,
    /// What the machine calls the hardware; of its processor also the cores that the process may use, and instructions.
    pub name: Option<String>,
    /// Its memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The library with the provider: the loaded one, or else one that is installed.
    pub library: Option<PathBuf>,
    /// The version of that library.
    pub version: Option<String>,
    /// What to do before a model can use it; `None` if one can.
    pub missing: Option<String>,
}

impl Runtime {
    /// All devices, and the providers that could have some. Opens the library, if it is installed.
    ///
    /// # Errors
    /// [`Error::Runtime`](crate::Error::Runtime) if the library is unusable.
    pub fn devices(&self) -> Result<Vec<Device>> {
        let loaded = if self.is_installed()? { self.opened()?.library } else { None };
        let mut devices = vec![];
        for kind in KINDS {
            if self.is_installed()? && self.offers(kind)? {
                devices.extend(usable(kind, loaded.as_deref()));
            } else {
                devices.push(self.unusable(kind));
            }
        }
        Ok(devices)
    }

    /// A provider that the loaded library lacks.
    fn unusable(&self, kind: &'static dyn Kind) -> Device {
        let build = kind.runtime();
        let library = builds::find(self.home(), build);
        let start = format!("seequel --runtime {build}");
        let missing = match &library {
            Some(_) => start,
            None if build == builds::DEFAULT => builds::installation(build),
            None => format!("{}; {start}", builds::installation(build)),
        };
        let device = device(kind, 0, Hardware::default(), library.as_deref());
        Device { missing: Some(missing), ..device }
    }
}

/// The devices of a provider that the loaded library has.
fn usable(kind: &'static dyn Kind, library: Option<&Path>) -> Vec<Device> {
    let hardware = kind.devices();
    if hardware.is_empty() {
        let device = device(kind, 0, Hardware::default(), library);
        return vec![Device { missing: Some("a device and its driver".to_owned()), ..device }];
    }
    // The instructions are those of x86.
    let is_processor = kind.device_sessions().is_none() && cfg!(target_arch = "x86_64");
    let described = |name: String| {
        if is_processor { format!("{name}, {}", Machine::without_gpus().processor()) } else { name }
    };
    let devices = (0..).zip(hardware).map(|(number, hardware)| {
        let hardware = Hardware { name: hardware.name.map(described), ..hardware };
        device(kind, number, hardware, library)
    });
    devices.collect()
}

fn device(kind: &'static dyn Kind, number: u32, hardware: Hardware, library: Option<&Path>) -> Device {
    Device {
        device: spelling(kind, number),
        provider: kind.registered_name(),
        name: hardware.name,
        memory_bytes: hardware.memory_bytes,
        library: library.map(Path::to_owned),
        version: library.and_then(builds::version),
        missing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::runtime::Provider;

    #[test]
    fn every_provider_is_in_a_build() {
        assert!(KINDS.iter().all(|kind| builds::NAMES.contains(&kind.runtime())));
    }

    #[test]
    fn the_processor_is_always_usable() {
        let devices = usable(Provider::CPU.kind(), Some(Path::new("lib/libonnxruntime.so")));
        assert_eq!(devices.len(), 1);
        assert_eq!((devices[0].device.as_str(), &devices[0].missing), ("cpu", &None));
        #[cfg(target_arch = "x86_64")]
        assert!(devices[0].name.as_ref().unwrap().ends_with(&Machine::without_gpus().processor()));
    }

    #[test]
    fn a_missing_build_names_the_command_that_installs_it() {
        let home = tempfile::tempdir().unwrap();
        let runtime = Runtime::named(home.path(), "cpu");
        let of = |provider: Provider| runtime.unusable(provider.kind());
        let cuda = of(Provider::cuda(0));
        assert_eq!((cuda.device.as_str(), &cuda.library), ("cuda:0", &None));
        assert_eq!(cuda.missing.as_deref(), Some("make setup RUNTIME=cuda; seequel --runtime cuda"));
        std::fs::create_dir_all(home.path().join("runtimes/cuda")).unwrap();
        std::fs::write(home.path().join("runtimes/cuda").join(builds::LIBRARY), "").unwrap();
        let installed = of(Provider::cuda(0));
        assert_eq!(installed.missing.as_deref(), Some("seequel --runtime cuda"));
        assert!(installed.library.is_some());
    }
}
