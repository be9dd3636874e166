//! Execution providers: where a session computes.

use ort::session::builder::SessionBuilder;

use crate::model::spec::ModelSpec;

/// Where a session computes, with `auto` resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The CPU.
    Cpu,
    /// The CUDA device with this number.
    Cuda(u32),
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(feature = "cuda")]
pub(super) fn with_provider(
    builder: SessionBuilder,
    provider: Provider,
    spec: &ModelSpec,
) -> ort::Result<SessionBuilder> {
    use ort::ep::ArbitrarilyConfigurableExecutionProvider;
    match provider {
        Provider::Cpu => Ok(builder),
        Provider::Cuda(number) => {
            // The exhaustive search, ort's default, takes seconds for each new batch size.
            let mut cuda = ort::ep::CUDA::default()
                .with_device_id(number.cast_signed())
                .with_conv_algorithm_search(ort::ep::cuda::ConvAlgorithmSearch::Heuristic)
                .with_arena_extend_strategy(ort::ep::ArenaExtendStrategy::SameAsRequested);
            for (key, value) in &spec.resources.provider_options {
                cuda = cuda.with_arbitrary_config(key, value);
            }
            Ok(builder.with_execution_providers([cuda.build().error_on_failure()])?)
        }
    }
}

#[cfg(not(feature = "cuda"))]
pub(super) fn with_provider(
    builder: SessionBuilder,
    _: Provider,
    _: &ModelSpec,
) -> ort::Result<SessionBuilder> {
    Ok(builder)
}
