//! Settings of sessions whose plans run on a cluster.

use std::sync::Arc;

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;

/// Largest message between the processes: a plan that names a million files.
pub(crate) const MESSAGE_BYTES: u32 = 512 << 20;

/// `config` with what Ballista needs of plans: no operators that share memory across tasks, such as dynamic filters. A
/// task has one partition, so that a lost one costs little and none waits for its slowest partition.
#[must_use]
pub fn cluster_settings(config: SessionConfig) -> SessionConfig {
    config
        .upgrade_for_ballista()
        .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES as usize)
        .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1)
}

/// The codec of Ballista's own operators.
#[must_use]
pub fn ballista_codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(BallistaPhysicalExtensionCodec::default())
}
