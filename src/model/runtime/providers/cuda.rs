//! `device 'cuda:0'`: NVIDIA's GPUs.

use std::fs;
use std::path::{Path, PathBuf};

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
        managed_devices().unwrap_or_else(|_| described_devices(Path::new(DEVICES)))
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
    let least = managed_devices().ok()?.into_iter().filter_map(|device| device.memory_bytes).min()?;
    (share < 1.0).then_some((least as f64 * share) as usize)
}

/// The driver's devices, in the order of their addresses; CUDA may number them by speed instead.
fn managed_devices() -> Result<Vec<Hardware>, NvmlError> {
    let driver = Nvml::init()?;
    let hardware = |number| {
        let device = driver.device_by_index(number)?;
        Ok(Hardware {
            name: device.name().ok(),
            memory_bytes: device.memory_info().ok().map(|info| info.total),
        })
    };
    (0..driver.device_count()?).map(hardware).collect()
}

/// By the driver's management library, which numbers devices by their addresses.
pub(super) fn device_use(number: u32) -> Option<f64> {
    let driver = Nvml::init().ok()?;
    let rates = driver.device_by_index(number).ok()?.utilization_rates().ok()?;
    Some(f64::from(rates.gpu) / 100.0)
}

/// The devices described in `folder`, in the same order.
fn described_devices(folder: &Path) -> Vec<Hardware> {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = folders.map(|entry| entry.path()).sorted().collect();
    folders.iter().map(|folder| Hardware { name: model(folder), memory_bytes: None }).collect()
}

fn model(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("information")).ok()?;
    let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
    Some(model.trim().to_owned())
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
        let names = described_devices(folder.path()).into_iter().map(|device| device.name).collect_vec();
        assert_eq!(names, [None, Some("NVIDIA B".to_owned())]);
        assert_eq!(described_devices(&folder.path().join("missing")), []);
    }
}
