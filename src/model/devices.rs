//! What `SHOW DEVICES` returns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::error::DataFusionError;

use super::registry::ModelRegistry;
use crate::Result;
use crate::model::runtime::Device;

impl ModelRegistry {
    /// `SHOW DEVICES`: one row per device, and one per provider that has none, with what it needs. Opens ONNX Runtime.
    ///
    /// # Errors
    /// A library that is unusable, or a build that was chosen by name and is not installed.
    pub fn show_devices(&self) -> Result<RecordBatch> {
        let devices = self.runtime().devices()?;
        let column = |describe: fn(&Device) -> Option<String>| -> ArrayRef {
            Arc::new(devices.iter().map(describe).collect::<StringArray>())
        };
        let memory: UInt64Array = devices.iter().map(|device| device.memory_bytes).collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("device", column(|device| Some(device.device.clone())), false),
            ("provider", column(|device| Some(device.provider.to_owned())), false),
            ("name", column(|device| device.name.clone()), true),
            ("memory_bytes", Arc::new(memory) as ArrayRef, true),
            ("version", column(|device| device.version.clone()), true),
            ("missing", column(|device| device.missing.clone()), true),
            ("library", column(|device| Some(device.library.as_ref()?.display().to_string())), true),
        ]);
        Ok(batch.map_err(DataFusionError::from)?)
    }
}
