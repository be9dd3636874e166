//! Whether a device can be used as a model asks, found out before any of the model's sessions is loaded.

use ort::session::builder::SessionBuilder;

use super::library::Runtime;
use super::log;
use super::providers::Provider;
use crate::Result;
use crate::model::spec::Resources;

/// A graph in ONNX's protobuf: `y = x + x` for one float32.
const GRAPH: &[u8] = b"\x08\x08\x42\x02\x10\x0d\x3a\x35\
    \x0a\x0e\x0a\x01x\x0a\x01x\x12\x01y\x22\x03Add\
    \x12\x01g\
    \x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    \x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01";

/// What is wrong with a model's request for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The device can't be used, for this reason.
    Device(String),
    /// The device can be used, but not with the model's `provider_options`, for this reason.
    Options(String),
}

/// Loads a session of a tiny graph as the model's would be loaded, which opens the provider's library and the device
/// and has the provider check its options.
pub(super) fn probe(
    runtime: &Runtime,
    provider: Provider,
    resources: &Resources,
) -> Result<std::result::Result<(), Refusal>> {
    let Err(reason) = load(runtime, provider, resources)? else {
        return Ok(Ok(()));
    };
    if resources.provider_options.is_empty() {
        return Ok(Err(Refusal::Device(reason)));
    }
    let without = Resources { provider_options: [].into(), ..resources.clone() };
    Ok(Err(load(runtime, provider, &without)?.err().map_or(Refusal::Options(reason), Refusal::Device)))
}

fn load(
    runtime: &Runtime,
    provider: Provider,
    resources: &Resources,
) -> Result<std::result::Result<(), String>> {
    let (opened, cache) = (runtime.opened()?, runtime.cache());
    Ok(log::with_reason(|| {
        SessionBuilder::new(&opened.environment)
            .and_then(|builder| Ok(builder.with_intra_threads(1)?))
            .and_then(|builder| provider.register(builder, opened.folder(), resources, 1, &cache))
            .and_then(|mut builder| builder.commit_from_memory(GRAPH))
            .map(|_| ())
    }))
}
