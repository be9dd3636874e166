//! `device 'tensorrt:0'`: NVIDIA's GPUs through TensorRT, which compiles a graph when its session is loaded.
//!
//! CUDA computes the nodes that TensorRT can't.

use ort::ep::{ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, TensorRT};
use ort::memory::AllocationDevice;
use ort::session::builder::SessionBuilder;

use super::cuda;
use super::kind::{Hardware, Kind, Request};
use crate::model::spec::Precision;

#[derive(Debug)]
pub(super) struct TensorRt;

impl Kind for TensorRt {
    fn name(&self) -> &'static str {
        "tensorrt"
    }

    fn registered_name(&self) -> &'static str {
        TensorRT::NAME
    }

    fn runtime(&self) -> &'static str {
        "cuda"
    }

    fn last_number(&self) -> Option<u32> {
        Some(cuda::LAST_NUMBER)
    }

    fn is_offered(&self) -> ort::Result<bool> {
        TensorRT::is_available()
    }

    fn register(
        &self,
        builder: SessionBuilder,
        number: u32,
        request: &Request<'_>,
    ) -> ort::Result<SessionBuilder> {
        let provider = TensorRT::default().with_device_id(number.cast_signed());
        let provider = match request.precision {
            Precision::Auto | Precision::F32 => provider,
            Precision::Bf16 => provider.with_arbitrary_config("trt_bf16_enable", 1),
            Precision::F16 => provider.with_arbitrary_config("trt_fp16_enable", 1),
            Precision::Int8 => provider.with_arbitrary_config("trt_int8_enable", 1),
        };
        let provider = request.configure(provider);
        let providers =
            [provider.build().error_on_failure(), cuda::with_defaults(number).build().error_on_failure()];
        Ok(builder.with_execution_providers(providers)?)
    }

    fn devices(&self) -> Vec<Hardware> {
        cuda::Cuda.devices()
    }

    fn refuses(&self, _: Precision) -> Option<String> {
        None
    }

    fn device_sessions(&self) -> Option<usize> {
        Some(cuda::SESSIONS)
    }

    fn memory(&self) -> Option<AllocationDevice<'static>> {
        Some(AllocationDevice::CUDA)
    }
}
