//! The memory of sessions, as ONNX Runtime counts it.

use std::ffi::CStr;
use std::ptr;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use parking_lot::Mutex;

use super::providers::Provider;

/// The memory that a session has taken for tensors: weights, except those that are prepacked, and the intermediate
/// results of its runs, which it keeps for the next run.
pub(crate) struct Arenas(Mutex<Vec<Allocator>>);

impl Arenas {
    pub(super) fn of(session: &ort::session::Session, provider: Provider) -> ort::Result<Self> {
        let mut devices = vec![(AllocationDevice::CPU, 0)];
        devices.extend(provider.memory());
        let arena = |(device, number)| {
            let place = MemoryInfo::new(device, number, AllocatorType::Device, MemoryType::Default)?;
            Allocator::new(session, place)
        };
        Ok(Self(Mutex::new(devices.into_iter().map(arena).collect::<ort::Result<_>>()?)))
    }

    /// The bytes that are taken from the system or the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().iter().filter_map(allocated_bytes).sum()
    }
}

impl std::fmt::Debug for Arenas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arenas").field("bytes", &self.bytes()).finish()
    }
}

/// The bytes that an allocator has taken; `None` if it does not count them.
fn allocated_bytes(allocator: &Allocator) -> Option<u64> {
    let api = ort::api();
    let mut statistics = ptr::null_mut();
    // SAFETY: the allocator is valid. After success `statistics` is too, until it is released, and so are the strings
    // in it, which end with a NUL.
    #[expect(unsafe_code, reason = "ort has no function for an allocator's statistics")]
    unsafe {
        ort::Error::result_from_status((api.AllocatorGetStats)(allocator.ptr(), &raw mut statistics)).ok()?;
        let value = (api.GetKeyValue)(statistics, c"TotalAllocated".as_ptr());
        let bytes = (!value.is_null()).then(|| CStr::from_ptr(value).to_str().ok()?.parse().ok()).flatten();
        (api.ReleaseKeyValuePairs)(statistics);
        bytes
    }
}
