//! Settings of sessions whose plans run on a cluster.

use std::sync::Arc;

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_executor::runtime_cache::MemoryPoolPolicy;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::connect::{MESSAGE_BYTES, SILENCE_OF_TASKS, Security};

/// Percent of a machine's memory that sorts, groups and joins of tasks may use before they spill.
const MEMORY_PERCENT: u64 = 70;

/// `config` with what Ballista needs of plans: no operators that share memory across tasks, such as dynamic filters. A
/// task has one partition, so that a lost one costs little and none waits for its slowest partition.
#[must_use]
pub fn cluster_settings(config: SessionConfig, security: &Security) -> SessionConfig {
    config
        .upgrade_for_ballista()
        .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES as usize)
        .with_ballista_use_tls(security.has_tls())
        .with_ballista_override_create_grpc_client_endpoint(security.endpoints(SILENCE_OF_TASKS))
        .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1)
}

/// Gives each of `cores` tasks its part of the memory of the machine or container, where that is known.
pub(crate) fn task_memory(cores: usize) -> MemoryPoolPolicy {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(memory) else { return Arc::new(|runtime, _, _| Ok(runtime)) };
    let all = match system.cgroup_limits() {
        Some(limits) if limits.total_memory > 0 => limits.total_memory.min(system.total_memory()),
        _ => system.total_memory(),
    };
    let bytes = usize::try_from(all / 100 * MEMORY_PERCENT).unwrap_or(usize::MAX) / cores.max(1);
    Arc::new(move |runtime, _, cores| {
        let pool = FairSpillPool::new(bytes.saturating_mul(cores.max(1) as usize));
        RuntimeEnvBuilder::from_runtime_env(&runtime).with_memory_pool(Arc::new(pool)).build_arc()
    })
}

/// The codec of Ballista's own operators.
#[must_use]
pub fn ballista_codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(BallistaPhysicalExtensionCodec::default())
}
