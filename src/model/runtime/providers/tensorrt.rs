//! `device 'tensorrt:0'`: NVIDIA's GPUs through TensorRT, which compiles a graph when its session is loaded.
//!
//! CUDA computes the nodes that TensorRT can't. A compiled graph, an engine, fits one number of rows; it is kept in
//! Seequel's home, since compiling takes minutes.

use std::fs;

use ort::ep::{ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, TensorRT};
use ort::memory::AllocationDevice;
use ort::session::builder::SessionBuilder;

use super::cuda;
use super::kind::{Hardware, Kind, Request};
use super::machine::Machine;
use crate::model::spec::Precision;
use crate::model::tensor::PageLocker;

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
        let engines = request.cache.join("tensorrt");
        fs::create_dir_all(&engines)
            .map_err(|error| ort::Error::new(format!("{}: {error}", engines.display())))?;
        let provider = TensorRT::default()
            .with_device_id(number.cast_signed())
            .with_engine_cache(true)
            .with_engine_cache_path(engines.display())
            .with_timing_cache(true)
            .with_timing_cache_path(engines.display());
        let provider = match request.precision {
            Precision::Auto | Precision::F32 => provider,
            Precision::Bf16 => provider.with_arbitrary_config("trt_bf16_enable", 1),
            Precision::F16 => provider.with_arbitrary_config("trt_fp16_enable", 1),
            Precision::Int8 => provider.with_arbitrary_config("trt_int8_enable", 1),
        };
        let provider = request.configure(provider);
        let rest = cuda::with_defaults(number, request.share);
        let providers = [provider.build().error_on_failure(), rest.build().error_on_failure()];
        Ok(builder.with_execution_providers(providers)?)
    }

    fn devices(&self) -> Vec<Hardware> {
        cuda::Cuda.devices()
    }

    fn refuses(&self, _: Precision, _: &Machine) -> Option<String> {
        None
    }

    fn driver(&self) -> Option<(&'static str, &'static str)> {
        Some(cuda::DRIVER)
    }

    fn libraries(&self) -> &'static [&'static str] {
        &cuda::LIBRARIES
    }

    fn needs(&self) -> Option<&'static str> {
        Some("tensorrt needs all that cuda needs, and TensorRT 10, which `make setup` does not install")
    }

    fn device_sessions(&self) -> Option<usize> {
        Some(cuda::SESSIONS)
    }

    fn fixes_batch(&self) -> bool {
        true
    }

    fn page_locker(&self, number: u32) -> Option<PageLocker> {
        PageLocker::new(number.cast_signed())
    }

    fn device_use(&self, number: u32) -> Option<f64> {
        cuda::device_use(number)
    }

    fn memory(&self) -> Option<AllocationDevice<'static>> {
        Some(AllocationDevice::CUDA)
    }
}
