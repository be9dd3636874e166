//! A job on a scheduler, which is cancelled unless it has ended.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, GetJobMetricsParams, JobStageMetrics, OperatorWithMetrics,
};
use tokio::runtime::Handle;
use tonic::transport::Channel;

pub(crate) type SchedulerClient = SchedulerGrpcClient<Channel>;

/// The jobs that are being cancelled.
static CANCELLING: Mutex<usize> = Mutex::new(0);
static CANCELLED: Condvar = Condvar::new();

/// A job that this process waits for.
#[derive(Debug)]
pub(crate) struct Job {
    scheduler: SchedulerClient,
    /// Unknown until the scheduler has told it.
    id: Option<String>,
    has_ended: bool,
}

impl Job {
    pub(crate) fn new(scheduler: SchedulerClient) -> Self {
        Self { scheduler, id: None, has_ended: false }
    }

    pub(crate) fn set_id(&mut self, id: &str) {
        if self.id.is_none() && !id.is_empty() {
            self.id = Some(id.to_owned());
        }
    }

    pub(crate) fn ended(&mut self) {
        self.has_ended = true;
    }

    /// Logs the stages of the job that has ended, each with the plan that its tasks ran.
    pub(crate) async fn log_stages(&mut self) {
        let job_id = self.id.clone().unwrap_or_default();
        let stages = match self.scheduler.get_job_metrics(GetJobMetricsParams { job_id }).await {
            Ok(response) => response.into_inner().stages,
            Err(error) => return tracing::debug!("no stages: {}", error.message()),
        };
        for JobStageMetrics { stage_id, partitions, operators } in stages {
            let lines = operators.iter().map(|operator| {
                let OperatorWithMetrics { depth, operator_desc, .. } = operator;
                format!("\n{:1$}{operator_desc}", "", 2 * (*depth as usize + 1))
            });
            tracing::debug!("stage {stage_id} of {partitions} partitions:{}", lines.collect::<String>());
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (false, Some(job_id), Ok(runtime)) = (self.has_ended, self.id.take(), Handle::try_current())
        else {
            return;
        };
        let (mut scheduler, cancelling) = (self.scheduler.clone(), Cancelling::begin());
        runtime.spawn(async move {
            let _cancelling = cancelling;
            if let Err(error) = scheduler.cancel_job(CancelJobParams { job_id }).await {
                tracing::warn!(
                    "a job of the cluster could not be cancelled, and goes on: {}",
                    error.message()
                );
            }
        });
    }
}

/// Counts a job among those that are being cancelled.
struct Cancelling;

impl Cancelling {
    fn begin() -> Self {
        *CANCELLING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        *CANCELLING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        CANCELLED.notify_all();
    }
}

/// Waits until the schedulers know of all jobs of dropped streams that these are cancelled, at most `within`: before the
/// process ends, or its runtime. Blocks.
pub fn finish_cancelling(within: Duration) {
    let end = Instant::now() + within;
    let mut pending = CANCELLING.lock().unwrap_or_else(PoisonError::into_inner);
    while *pending > 0 {
        let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            return;
        };
        (pending, _) = CANCELLED.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner);
    }
}
