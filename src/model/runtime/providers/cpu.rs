//! `device 'cpu'`: ONNX Runtime's own kernels, in every build.

use ort::session::builder::SessionBuilder;

use super::kind::{Hardware, Kind, Request};
use super::processor;

#[derive(Debug)]
pub(super) struct Cpu;

impl Kind for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn registered_name(&self) -> &'static str {
        "CPUExecutionProvider"
    }

    fn runtime(&self) -> &'static str {
        "cpu"
    }

    fn is_offered(&self) -> ort::Result<bool> {
        Ok(true)
    }

    /// It needs no registration, and has no options.
    fn register(&self, builder: SessionBuilder, _: u32, _: &Request<'_>) -> ort::Result<SessionBuilder> {
        Ok(builder)
    }

    fn options(&self) -> Option<&'static [&'static str]> {
        Some(&[])
    }

    fn devices(&self) -> Vec<Hardware> {
        vec![processor::hardware()]
    }
}
