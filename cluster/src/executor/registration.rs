//! An executor's place among those of its scheduler.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::ids::new_instance_id;
use ballista_core::serde::protobuf::{ExecutorRegistration, ExecutorStoppedParams, PollWorkParams};
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::connect::{Connection, SchedulerClient, Security};
use crate::{Address, Error};

/// How long an executor waits for a scheduler that does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a scheduler may take to hear that an executor is no more, which it finds out by itself, too.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// Between two attempts to reach it.
const RETRIED_EVERY: Duration = Duration::from_millis(500);

/// An executor as its scheduler knows it, by a name of its own: after a request that failed it is another one, so that
/// the scheduler gives the tasks of the first to others.
pub(crate) struct Registration(ExecutorRegistration);

impl Registration {
    pub(crate) fn new(host: &str, port: u16, cores: usize) -> Self {
        let settings = ExecutorProcessConfig {
            executor_id: new_instance_id(),
            external_host: Some(host.to_owned()),
            port,
            // There is none that takes tasks.
            grpc_port: 0,
            ..ExecutorProcessConfig::default()
        };
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        Self(structure_executor_metadata(&Arc::new(settings), cores))
    }

    /// That of a process which has [written](Self::write) it.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let id = fs::read_to_string(file).ok()?;
        Some(Self(ExecutorRegistration { id, ..ExecutorRegistration::default() }))
    }

    /// Leaves its name for the process after this one.
    pub(crate) fn write(&self, file: &Path) {
        if let Err(error) = fs::write(file, self.id()) {
            tracing::warn!("the executor's registration can't be kept: {error}");
        }
    }

    /// Its name.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    pub(crate) fn message(&self) -> ExecutorRegistration {
        self.0.clone()
    }

    /// Waits for the scheduler, and takes no task yet.
    ///
    /// # Errors
    /// A scheduler that refuses the executor, or does not answer for a minute.
    pub(crate) async fn register(
        &self,
        scheduler: &Address,
        security: &Security,
    ) -> Result<Connection, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let reason = match Connection::open(scheduler, security).await {
                Ok(connection) => {
                    let message = PollWorkParams {
                        metadata: Some(self.message()),
                        num_free_vcores: 0,
                        task_status: vec![],
                    };
                    match connection.ballista().poll_work(message).await {
                        Ok(_) => return Ok(connection),
                        Err(status) if is_final(status.code()) => {
                            return Err(Error::RefusedExecutor {
                                address: scheduler.to_string(),
                                reason: status.message().to_owned(),
                            });
                        }
                        Err(status) => connection.reason(&status),
                    }
                }
                Err(Error::Unreachable { reason, .. }) => reason,
                Err(error) => return Err(error),
            };
            if Instant::now() >= end {
                return Err(Error::Unreachable { address: scheduler.to_string(), reason });
            }
            sleep(RETRIED_EVERY).await;
        }
    }

    /// Tells the scheduler that the executor is no more, and its results with it.
    pub(crate) async fn end(&self, client: &mut SchedulerClient, reason: &str) {
        let message = ExecutorStoppedParams { executor_id: self.0.id.clone(), reason: reason.to_owned() };
        let told = timeout(TOLD_WITHIN, client.executor_stopped(message)).await;
        let reason = match told {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.message().to_owned(),
            Err(_) => "it does not answer".to_owned(),
        };
        tracing::warn!("the scheduler was not told that the executor ended: {reason}");
    }
}

/// Whether asking again would give the same.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition | Code::Unimplemented
    )
}
