//! `device 'cuda:0'`: NVIDIA's GPUs.

use std::path::{Path, PathBuf};
use std::{env, fs};

use itertools::Itertools;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProvider};
use ort::memory::AllocationDevice;
use ort::session::builder::SessionBuilder;

use super::kind::{Hardware, Kind, Request};
use crate::model::tensor::PageLocker;

/// Where the driver describes its devices, in a folder for each, to those that may not ask its management library.
const DEVICES: &str = "/proc/driver/nvidia/gpus";

/// Environment variable with the devices that CUDA shows the process, of all that the driver lists.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// More than any machine has.
pub(super) const LAST_NUMBER: u32 = 255;

/// One computes while the next batch is copied in.
pub(super) const SESSIONS: usize = 2;

/// The driver's library.
pub(super) const DRIVER: (&str, &str) = ("libcuda.so.1", "NVIDIA's driver");

/// CUDA's and cuDNN's libraries; cuDNN finds its others by itself.
pub(super) const LIBRARIES: [&str; 8] = [
    "libcudart.so.13",
    "libnvrtc.so.13",
    "libnvJitLink.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libcurand.so.10",
    "libcufft.so.12",
    "libcudnn.so.9",
];

#[derive(Debug)]
pub(super) struct Cuda;

impl Kind for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn registered_name(&self) -> &'static str {
        CUDA::NAME
    }

    fn runtime(&self) -> &'static str {
        "cuda"
    }

    fn last_number(&self) -> Option<u32> {
        Some(LAST_NUMBER)
    }

    fn is_offered(&self) -> ort::Result<bool> {
        CUDA::is_available()
    }

    fn register(
        &self,
        builder: SessionBuilder,
        number: u32,
        request: &Request<'_>,
    ) -> ort::Result<SessionBuilder> {
        let provider = request.configure(with_defaults(number, request.share));
        Ok(builder.with_execution_providers([provider.build().error_on_failure()])?)
    }

    fn devices(&self) -> Vec<Hardware> {
        shown().unwrap_or_default()
    }

    fn driver(&self) -> Option<(&'static str, &'static str)> {
        Some(DRIVER)
    }

    fn libraries(&self) -> &'static [&'static str] {
        &LIBRARIES
    }

    fn needs(&self) -> Option<&'static str> {
        Some(
            "cuda needs an NVIDIA GPU and its driver, from 580 on; `make setup RUNTIME=cuda` installs CUDA 13 and cuDNN 9",
        )
    }

    fn device_sessions(&self) -> Option<usize> {
        Some(SESSIONS)
    }

    fn page_locker(&self, number: u32) -> Option<PageLocker> {
        PageLocker::new(number.cast_signed())
    }

    fn device_use(&self, number: u32) -> Option<f64> {
        device_use(number)
    }

    fn memory(&self) -> Option<AllocationDevice<'static>> {
        Some(AllocationDevice::CUDA)
    }
}

pub(super) fn with_defaults(number: u32, share: Option<f64>) -> CUDA {
    let provider = CUDA::default()
        .with_device_id(number.cast_signed())
        // ONNX Runtime's default rounds the inputs of products to TF32, of 10 bits, which changes predictions.
        .with_tf32(false)
        // The exhaustive search, ort's default, takes seconds for each new batch size.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested);
    match share.and_then(share_bytes) {
        Some(bytes) => provider.with_memory_limit(bytes),
        None => provider,
    }
}

/// The bytes that are `share` of a device, the smallest if they differ.
fn share_bytes(share: f64) -> Option<usize> {
    let least = shown()?.into_iter().filter_map(|device| device.memory_bytes).min()?;
    (share < 1.0).then_some((least as f64 * share) as usize)
}

/// A device as the driver lists it.
#[derive(Debug, Default)]
struct Listed {
    /// Its number in the driver's list.
    index: u32,
    /// Its identifier, such as `GPU-8932f937-…`.
    uuid: Option<String>,
    hardware: Hardware,
}

/// The devices that CUDA shows this process, by number; `None` if the driver lists none.
pub(super) fn shown() -> Option<Vec<Hardware>> {
    Some(listed()?.into_iter().map(|device| device.hardware).collect())
}

fn listed() -> Option<Vec<Listed>> {
    let all = managed_devices().unwrap_or_else(|_| described_devices(Path::new(DEVICES)));
    (!all.is_empty()).then(|| visible(all, env::var(VISIBLE).ok().as_deref()))
}

/// Those of `all` that CUDA shows a process with this value of [`VISIBLE`], in its order. The value has their numbers or
/// the starts of their identifiers; what comes behind one that there is not is hidden too. Of devices that are divided
/// into parts (MIG) CUDA shows one part.
fn visible(all: Vec<Listed>, value: Option<&str>) -> Vec<Listed> {
    let Some(value) = value else { return all };
    if value.trim_start().starts_with("MIG-") {
        return all.into_iter().take(1).collect();
    }
    let mut all: Vec<_> = all.into_iter().map(Some).collect();
    let mut take = |entry: &str| {
        let entry = entry.trim();
        let is_of = |device: &Listed| device.uuid.as_ref().is_some_and(|uuid| uuid.starts_with(entry));
        let named = || all.iter().position(|device| device.as_ref().is_some_and(is_of));
        let number = entry.parse().ok().or_else(|| if entry.is_empty() { None } else { named() })?;
        all.get_mut::<usize>(number)?.take()
    };
    value.split(',').map_while(&mut take).collect()
}

/// The driver's devices, in the order of their addresses; CUDA may number them by speed instead. Of devices that are
/// divided into parts CUDA shows one.
fn managed_devices() -> Result<Vec<Listed>, NvmlError> {
    let driver = Nvml::init()?;
    let (mut listed, mut is_divided) = (vec![], false);
    for index in 0..driver.device_count()? {
        let device = driver.device_by_index(index)?;
        is_divided |= device.mig_mode().is_ok_and(|mode| mode.current == 1);
        let hardware = Hardware {
            name: device.name().ok(),
            memory_bytes: device.memory_info().ok().map(|info| info.total),
        };
        listed.push(Listed { index, uuid: device.uuid().ok(), hardware });
    }
    if is_divided {
        listed.truncate(1);
    }
    Ok(listed)
}

/// By the driver's management library.
pub(super) fn device_use(number: u32) -> Option<f64> {
    let index = listed()?.get(number as usize)?.index;
    let driver = Nvml::init().ok()?;
    let rates = driver.device_by_index(index).ok()?.utilization_rates().ok()?;
    Some(f64::from(rates.gpu) / 100.0)
}

/// The devices described in `folder`, in the same order.
fn described_devices(folder: &Path) -> Vec<Listed> {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = folders.map(|entry| entry.path()).sorted().collect();
    (0..).zip(&folders).map(|(index, folder)| described(index, folder)).collect()
}

fn described(index: u32, folder: &Path) -> Listed {
    let text = fs::read_to_string(folder.join("information")).unwrap_or_default();
    let value = |key| text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
    let hardware = Hardware { name: value("Model:"), memory_bytes: None };
    Listed { index, uuid: value("GPU UUID:"), hardware }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_those_of_the_driver() {
        let folder = tempfile::tempdir().unwrap();
        for (address, text) in
            [("0000:3b:00.0", "Model: \t\t NVIDIA B\nIRQ: 1\n"), ("0000:01:00.0", "IRQ: 2\n")]
        {
            fs::create_dir(folder.path().join(address)).unwrap();
            fs::write(folder.path().join(address).join("information"), text).unwrap();
        }
        let devices = described_devices(folder.path());
        let names = devices.into_iter().map(|device| device.hardware.name).collect_vec();
        assert_eq!(names, [None, Some("NVIDIA B".to_owned())]);
        assert!(described_devices(&folder.path().join("missing")).is_empty());
    }

    #[test]
    fn devices_are_those_that_cuda_shows() {
        let shown = |value| {
            let listed = |index: u32| Listed {
                index,
                uuid: Some(format!("GPU-{index}a-b")),
                hardware: Hardware::default(),
            };
            let shown = visible((0..4).map(listed).collect(), value);
            shown.into_iter().map(|device| device.index).collect_vec()
        };
        assert_eq!(shown(None), [0, 1, 2, 3]);
        assert_eq!(shown(Some("2, 0")), [2, 0]);
        assert_eq!(shown(Some("1,4,2")), [1]);
        assert_eq!(shown(Some("GPU-3a,GPU-1a-b,GPU-9")), [3, 1]);
        assert_eq!(shown(Some("-1")), [0; 0]);
        assert_eq!(shown(Some("")), [0; 0]);
        assert_eq!(shown(Some("MIG-1,MIG-2")), [0]);
    }
}
