//! A job on a scheduler, which is cancelled unless it has ended.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{CancelJobParams, GetJobMetricsParams, GetJobStatusParams, job_status};
use tokio::runtime::Handle;
use tonic::transport::{Channel, Endpoint};

use crate::progress::JobProgress;
use crate::security::{Security, innermost};
use crate::settings::MESSAGE_BYTES;
use crate::watching::stages;
use crate::{Address, Error};

pub(crate) type SchedulerClient = SchedulerGrpcClient<Channel>;

/// How long a scheduler may take to answer the first word.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);
/// Between two signs of life on a connection.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connects to a scheduler.
pub(crate) async fn connect(address: &Address, security: &Security) -> Result<SchedulerClient, Error> {
    Ok(client(channel(address, security).await?))
}

/// Ballista's client on a connection.
pub(crate) fn client(channel: Channel) -> SchedulerClient {
    SchedulerClient::new(channel)
        .max_encoding_message_size(MESSAGE_BYTES as usize)
        .max_decoding_message_size(MESSAGE_BYTES as usize)
}

/// A connection to a scheduler.
pub(crate) async fn channel(address: &Address, security: &Security) -> Result<Channel, Error> {
    let unreachable = |error: tonic::transport::Error| Error::Unreachable {
        address: address.to_string(),
        reason: innermost(&error),
    };
    let endpoint = Endpoint::from_shared(address.url(security.scheme())).map_err(unreachable)?;
    let endpoint =
        endpoint.connect_timeout(CONNECTED_WITHIN).tcp_nodelay(true).tcp_keepalive(Some(KEEPALIVE));
    let endpoint = security.endpoint(endpoint).map_err(unreachable)?;
    endpoint.connect().await.map_err(unreachable)
}

/// Why a request failed: the scheduler's reason, or what ended the connection.
pub(crate) fn reason(status: &tonic::Status, security: &Security) -> String {
    let message = status.message().to_owned();
    // Only what the connection did has a cause here.
    if std::error::Error::source(status).is_some() && !security.has_tls() {
        return format!("{message}; if the cluster has TLS, --tls is missing");
    }
    message
}

/// The jobs that are being cancelled.
static CANCELLING: Mutex<usize> = Mutex::new(0);
static CANCELLED: Condvar = Condvar::new();

/// A job that this process waits for.
#[derive(Debug)]
pub(crate) struct Job {
    channel: Channel,
    id: String,
    has_ended: bool,
}

impl Job {
    pub(crate) fn new(channel: Channel, id: String) -> Self {
        Self { channel, id, has_ended: false }
    }

    /// Its state; `None` if the scheduler does not know the job.
    pub(crate) async fn status(&self) -> Result<Option<job_status::Status>, tonic::Status> {
        let params = GetJobStatusParams { job_id: self.id.clone() };
        let answer = client(self.channel.clone()).get_job_status(params).await?;
        Ok(answer.into_inner().status.and_then(|job| job.status))
    }

    pub(crate) fn ended(&mut self) {
        self.has_ended = true;
    }

    /// How far the job is; `None` if it does not run yet, or if the scheduler does not say.
    pub(crate) async fn progress(&self) -> Option<JobProgress> {
        let progress = JobProgress::from(stages(self.channel.clone(), self.id.clone()).await.ok()?);
        Some(progress).filter(|progress| !progress.stages.is_empty())
    }

    /// What the stages of the job did, which has ended; logs them too.
    pub(crate) async fn ran(&self) -> Option<JobProgress> {
        let job_id = self.id.clone();
        let answer = client(self.channel.clone()).get_job_metrics(GetJobMetricsParams { job_id }).await;
        let ran = match answer {
            Ok(answer) => JobProgress::ended(answer.into_inner().stages),
            Err(error) => {
                tracing::debug!("no stages: {}", error.message());
                return None;
            }
        };
        for stage in &ran.stages {
            let lines = stage
                .operators
                .iter()
                .map(|operator| format!("\n{:2$}{}", "", operator.line, 2 * (operator.depth as usize + 1)));
            tracing::debug!("stage {} of {} partitions:{}", stage.id, stage.tasks, lines.collect::<String>());
        }
        Some(ran)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.has_ended, Handle::try_current()) else { return };
        let job_id = std::mem::take(&mut self.id);
        let (mut scheduler, cancelling) = (client(self.channel.clone()), Cancelling::begin());
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
