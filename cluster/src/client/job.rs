//! A job on a scheduler, which is cancelled unless it has ended or nobody here waits for it.

use std::time::{Duration, Instant};

use ballista_core::BALLISTA_VERSION;
use ballista_core::serde::protobuf::execute_query_failure_result::Failure;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, ExecuteQueryResult, GetJobStatusParams, PartitionLocation,
    execute_query_result,
};
use ballista_core::version::{check_compatibility, insert_version_header, version_from_metadata};
use datafusion::arrow::datatypes::Schema;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::cancelling::Cancelling;
use crate::Error;
use crate::connect::{Connection, MESSAGE_BYTES, is_broken};
use crate::error::message_of;
use crate::jobs::messages::{OfJob, StagesOfJob};
use crate::jobs::{JobProgress, JobState, JobsClient, Watcher};

/// Between two questions whether a query has ended: the first and the longest time.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_millis(100);
/// Between two questions how far it is.
const WATCHED_EVERY: Duration = Duration::from_millis(500);
/// How long a scheduler may take to list a query that it has taken.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// A job that this process waits for.
#[derive(Debug)]
pub(crate) struct Job {
    connection: Connection,
    id: String,
    /// Whether it is cancelled when this is dropped.
    is_ours: bool,
    /// Whether an error has told that its scheduler does not answer.
    is_lost: bool,
}

/// Begins a job.
///
/// # Errors
/// A scheduler that does not answer, refuses it, or is of another version.
pub(crate) async fn submit(connection: &Connection, query: ExecuteQueryParams) -> Result<Job, Error> {
    let mut request = tonic::Request::new(query);
    insert_version_header(request.metadata_mut());
    // Ballista has a method, too, that tells how the job goes on by itself; but it does not tell its name before the end,
    // so that it could not be cancelled.
    let response = connection.ballista().execute_query(request).await;
    let response = response.map_err(|status| connection.failed(&status))?;
    let version = version_from_metadata(response.metadata()).map(ToOwned::to_owned);
    let id = job_id(response.into_inner()).map_err(|reason| connection.refused(reason))?;
    let job = Job { connection: connection.clone(), id, is_ours: true, is_lost: false };
    check_compatibility(Some(BALLISTA_VERSION), version.as_deref())
        .map_err(|reason| connection.refused(reason))?;
    Ok(job)
}

fn job_id(answer: ExecuteQueryResult) -> Result<String, String> {
    match answer.result {
        Some(execute_query_result::Result::Success(job)) => Ok(job.job_id),
        Some(execute_query_result::Result::Failure(failure)) => Err(match failure.failure {
            Some(
                Failure::SessionNotFound(text)
                | Failure::PlanParsingFailure(text)
                | Failure::SqlParsingFailure(text),
            ) => text,
            None => "it gives no reason".to_owned(),
        }),
        None => Err("it gave no answer".to_owned()),
    }
}

impl Job {
    /// One that goes on when this is dropped.
    pub(crate) fn watched(connection: Connection, id: String) -> Self {
        Self { connection, id, is_ours: false, is_lost: false }
    }

    /// Waits for its end, and returns where its results are.
    ///
    /// # Errors
    /// A job that fails or is cancelled, a scheduler that does not answer or has forgotten it.
    pub(crate) async fn finish(&mut self, watcher: &Watcher) -> Result<Vec<PartitionLocation>, Error> {
        let (mut wait, mut watched, mut is_known) = (SOONEST, Instant::now(), false);
        loop {
            sleep(wait).await;
            wait = (wait * 2).min(LATEST);
            match self.status().await.map_err(|status| self.lost(&status))? {
                Some(Status::Failed(failed)) => {
                    self.is_ours = false;
                    return Err(self.failure(&Status::Failed(failed)));
                }
                Some(Status::Successful(successful)) => {
                    self.is_ours = false;
                    match self.progress(true).await {
                        Ok(Some(ran)) => {
                            log(&ran);
                            // Its rows are there: whether they are wanted is for the watcher.
                            let _ = watcher(ran);
                        }
                        Ok(None) => {}
                        Err(error) => tracing::debug!("no stages: {}", error.message()),
                    }
                    return Ok(successful.partition_location);
                }
                Some(Status::Queued(_) | Status::Running(_)) => is_known = true,
                // It is not listed yet.
                None if !is_known && watched.elapsed() < LISTED_WITHIN => continue,
                None => {
                    self.is_ours = false;
                    return Err(self.connection.lost_for("it does not know the query any more".to_owned()));
                }
            }
            if watched.elapsed() >= WATCHED_EVERY {
                watched = Instant::now();
                let progress = match self.progress(false).await {
                    Err(status) if is_broken(&status) => return Err(self.lost(&status)),
                    progress => progress.ok().flatten(),
                };
                if let Some(progress) = progress
                    && watcher(progress).is_break()
                {
                    return Err(self.stopped(watcher).await);
                }
            }
        }
    }

    /// The error of a query that its `watcher` ends, which has its lists first.
    async fn stopped(&mut self, watcher: &Watcher) -> Error {
        match self.progress(true).await {
            Ok(Some(progress)) => {
                let _ = watcher(progress);
                Error::Stopped
            }
            Ok(None) => Error::Stopped,
            Err(status) => self.lost(&status),
        }
    }

    /// The error of a request about it. A scheduler that does not answer is not told to cancel it.
    fn lost(&mut self, status: &tonic::Status) -> Error {
        self.is_lost = true;
        self.connection.lost(status)
    }

    /// Its state; `None` if the scheduler does not know the job.
    pub(crate) async fn status(&self) -> Result<Option<Status>, tonic::Status> {
        let params = GetJobStatusParams { job_id: self.id.clone() };
        let answer = self.connection.ballista().get_job_status(params).await?;
        Ok(answer.into_inner().status.and_then(|job| job.status))
    }

    /// Why a job gives nothing that has failed or was cancelled.
    pub(crate) fn failure(&self, status: &Status) -> Error {
        match status {
            Status::Failed(failed) if JobState::of(status) != JobState::Cancelled => {
                Error::Failed(message_of(&failed.error))
            }
            _ => Error::Cancelled { id: self.id.clone() },
        }
    }

    /// Its name in the scheduler.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Lets it go on when this is dropped, once the scheduler lists it.
    ///
    /// # Errors
    /// A scheduler that does not answer.
    pub(crate) async fn leave(mut self) -> Result<String, Error> {
        let began = Instant::now();
        while self.status().await.map_err(|status| self.lost(&status))?.is_none() {
            if began.elapsed() >= LISTED_WITHIN {
                return Err(self.connection.lost_for("it does not list the query".to_owned()));
            }
            sleep(SOONEST).await;
        }
        self.is_ours = false;
        Ok(std::mem::take(&mut self.id))
    }

    /// What it gives; `None` if it is not planned yet.
    pub(crate) async fn schema(&self) -> Result<Option<Schema>, tonic::Status> {
        let of = OfJob { job_id: self.id.clone() };
        let results = JobsClient::new(self.connection.channel()).results(of).await?.into_inner();
        let schema = results.schema.as_ref().map(TryInto::try_into).transpose();
        schema.map_err(|error| tonic::Status::internal(format!("its schema can't be read: {error}")))
    }

    /// Lets the scheduler delete its results: they are here, or there are none.
    pub(crate) async fn had(&self) {
        let of = OfJob { job_id: self.id.clone() };
        if let Err(error) = JobsClient::new(self.connection.channel()).ended(of).await {
            tracing::debug!("results are not deleted yet: {}", error.message());
        }
    }

    /// Asks for its end, which comes a little later.
    pub(crate) async fn cancel(&self) -> Result<(), tonic::Status> {
        let job_id = self.id.clone();
        self.connection.ballista().cancel_job(CancelJobParams { job_id }).await.map(drop)
    }

    /// How far the job is, with its lists or without; `None` if it does not run yet.
    async fn progress(&self, lists: bool) -> Result<Option<JobProgress>, tonic::Status> {
        let of = StagesOfJob { job_id: self.id.clone(), lists };
        let jobs = JobsClient::new(self.connection.channel());
        let stages = jobs.max_decoding_message_size(MESSAGE_BYTES as usize).stages(of).await?.into_inner();
        Ok(Some(JobProgress::from(stages)).filter(|progress| !progress.stages.is_empty()))
    }
}

/// Logs what the stages of a job did.
fn log(ran: &JobProgress) {
    for stage in &ran.stages {
        let lines = stage
            .operators
            .iter()
            .map(|operator| format!("\n{:2$}{}", "", operator.line, 2 * (operator.depth as usize + 1)));
        tracing::debug!("stage {} of {} partitions:{}", stage.id, stage.tasks, lines.collect::<String>());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (true, Ok(runtime)) = (self.is_ours, Handle::try_current()) else { return };
        let job_id = std::mem::take(&mut self.id);
        let (mut scheduler, cancelling) = (self.connection.ballista(), Cancelling::begin());
        let is_lost = self.is_lost;
        runtime.spawn(async move {
            let _cancelling = cancelling;
            match scheduler.cancel_job(CancelJobParams { job_id }).await {
                Err(error) if !is_lost => tracing::warn!(
                    "a job of the cluster could not be cancelled, and goes on: {}",
                    error.message()
                ),
                // That a scheduler is lost was told.
                _ => {}
            }
        });
    }
}
