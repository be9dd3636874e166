//! `device 'webgpu'`: GPUs of any maker, on Linux through Vulkan.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};

use itertools::Itertools;
use ort::ep::{ExecutionProvider, WebGPU};
use ort::session::builder::SessionBuilder;

use super::kind::{Hardware, Kind, Request};

/// Environment variables that list Vulkan's drivers, by their files.
const DRIVER_FILES: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// Where the system lists Vulkan's drivers.
const DRIVER_FOLDERS: [&str; 3] =
    ["/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"];

/// Its options, of which it ignores unknown ones. Those of 1.27 that take addresses are left out: an application sets
/// them, for devices of its own.
const OPTIONS: [&str; 15] = [
    "dawnBackendType",
    "defaultBufferCacheMode",
    "enableGraphCapture",
    "enableInt64",
    "enablePIXCapture",
    "forceCpuNodeNames",
    "maxStorageBufferBindingSize",
    "multiRotaryCacheConcatOffset",
    "powerPreference",
    "preferredLayout",
    "preserveDevice",
    "queryResolveBufferCacheMode",
    "storageBufferCacheMode",
    "uniformBufferCacheMode",
    "validationMode",
];

#[derive(Debug)]
pub(super) struct WebGpu;

impl Kind for WebGpu {
    fn name(&self) -> &'static str {
        "webgpu"
    }

    fn registered_name(&self) -> &'static str {
        WebGPU::NAME
    }

    fn runtime(&self) -> &'static str {
        "webgpu"
    }

    /// The provider takes the adapter that WebGPU prefers. Other numbers are of devices that an application hands over.
    fn last_number(&self) -> Option<u32> {
        Some(0)
    }

    fn is_offered(&self) -> ort::Result<bool> {
        WebGPU::is_available()
    }

    fn register(
        &self,
        builder: SessionBuilder,
        _: u32,
        request: &Request<'_>,
    ) -> ort::Result<SessionBuilder> {
        let provider = request.configure(WebGPU::default());
        Ok(builder.with_execution_providers([provider.build().error_on_failure()])?)
    }

    fn options(&self) -> Option<&'static [&'static str]> {
        Some(&OPTIONS)
    }

    fn needs(&self) -> Option<&'static str> {
        Some("webgpu needs libvulkan1 and a Vulkan driver for a GPU; of Mesa's, one from 25.0 on")
    }

    /// One for all adapters, of which ONNX Runtime names none before it uses one.
    fn devices(&self) -> Vec<Hardware> {
        let drivers = drivers();
        if drivers.is_empty() {
            return vec![];
        }
        vec![Hardware { name: Some(format!("Vulkan: {}", drivers.iter().join(", "))), memory_bytes: None }]
    }

    /// All sessions share the commands of one device, so that a second one would wait for the first.
    fn device_sessions(&self) -> Option<usize> {
        Some(1)
    }
}

/// The names of Vulkan's drivers on this machine, such as `radeon` or `lvp`.
fn drivers() -> BTreeSet<String> {
    let given = DRIVER_FILES.iter().find_map(env::var_os);
    let files: Vec<PathBuf> = match &given {
        Some(files) => env::split_paths(files).collect(),
        None => DRIVER_FOLDERS
            .iter()
            .flat_map(fs::read_dir)
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect(),
    };
    files.iter().filter_map(|file| driver_name(file.file_name()?.to_str()?)).collect()
}

/// `radeon` of `radeon_icd.x86_64.json`.
fn driver_name(file: &str) -> Option<String> {
    let name = file.strip_suffix(".json")?;
    Some(name.split_once("_icd").map_or(name, |(name, _)| name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_named_by_their_files() {
        assert_eq!(driver_name("lvp_icd.x86_64.json").as_deref(), Some("lvp"));
        assert_eq!(driver_name("nvidia.json").as_deref(), Some("nvidia"));
        assert_eq!(driver_name("README"), None);
    }
}
