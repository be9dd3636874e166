//! What a client asks of the jobs of any client, and of the executors.

use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::job_status::Status;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::time::sleep;

use super::fetch::fetch;
use super::job::Job;
use super::results::gathered;
use super::{Client, fetch_error};
use crate::Error;
use crate::connect::MESSAGE_BYTES;
use crate::jobs::messages::Nothing;
use crate::jobs::{JobState, JobsClient, ListedExecutor, ListedJob, Watcher};

/// How long a scheduler may take to end a job, and the time between two questions whether it has.
const CANCELLED_WITHIN: Duration = Duration::from_secs(20);
const ASKED_EVERY: Duration = Duration::from_millis(50);

impl Client {
    /// What a job of any client gives, once it is planned.
    ///
    /// # Errors
    /// A job that is not known, was cancelled or failed, a scheduler that does not answer.
    pub async fn schema(&self, id: &str) -> Result<Schema, Error> {
        let connection = self.connect().await?;
        let job = Job::watched(connection.clone(), id.to_owned());
        loop {
            match job.status().await.map_err(|status| connection.failed(&status))? {
                None => return Err(self.unknown(id)),
                Some(status @ Status::Failed(_)) => return Err(job.failure(&status)),
                Some(Status::Queued(_) | Status::Running(_) | Status::Successful(_)) => {}
            }
            if let Some(schema) = job.schema().await.map_err(|status| connection.failed(&status))? {
                return Ok(schema);
            }
            sleep(ASKED_EVERY).await;
        }
    }

    /// The rows of a job of any client, once it has ended; `watcher` is told how far it is. It goes on if the stream is
    /// dropped, and its results stay where they are.
    #[must_use]
    pub fn attach(&self, id: &str, watcher: Watcher) -> BoxStream<'static, Result<RecordBatch>> {
        let (client, id) = (self.clone(), id.to_owned());
        stream::once(async move {
            let connection = client.connect().await?;
            let mut job = Job::watched(connection.clone(), id.clone());
            if job.status().await.map_err(|status| connection.failed(&status))?.is_none() {
                return Err(client.unknown(&id).into());
            }
            let results = job.finish(&watcher).await?;
            gathered(fetch(results, client.security.clone())).await.map_err(|error| {
                match fetch_error(&error) {
                    Some(Error::Fetch { .. }) => Error::Gone { id, reason: error.to_string() }.into(),
                    _ => error,
                }
            })
        })
        .try_flatten()
        .boxed()
    }

    /// The jobs that the scheduler knows, the last started last.
    ///
    /// # Errors
    /// A scheduler that does not answer.
    pub async fn jobs(&self) -> Result<Vec<ListedJob>, Error> {
        let connection = self.connect().await?;
        let mut jobs =
            JobsClient::new(connection.channel()).max_decoding_message_size(MESSAGE_BYTES as usize);
        let listed = jobs.list(Nothing {}).await.map_err(|status| connection.failed(&status))?.into_inner();
        let now = listed.now;
        let mut jobs: Vec<_> = listed.jobs.into_iter().filter_map(|job| ListedJob::of(job, now)).collect();
        jobs.sort_by(|one, other| {
            (one.started.is_none(), one.started, &one.id).cmp(&(
                other.started.is_none(),
                other.started,
                &other.id,
            ))
        });
        Ok(jobs)
    }

    /// The executors of the cluster.
    ///
    /// # Errors
    /// A scheduler that does not answer.
    pub async fn executors(&self) -> Result<Vec<ListedExecutor>, Error> {
        let connection = self.connect().await?;
        let mut jobs =
            JobsClient::new(connection.channel()).max_decoding_message_size(MESSAGE_BYTES as usize);
        let listed = jobs.executors(Nothing {}).await.map_err(|status| connection.failed(&status))?;
        let mut executors: Vec<ListedExecutor> =
            listed.into_inner().executors.into_iter().map(Into::into).collect();
        executors.sort_by(|one, other| (&one.address, &one.id).cmp(&(&other.address, &other.id)));
        Ok(executors)
    }

    /// Ends a job of any client, and waits until it has ended.
    ///
    /// # Errors
    /// A job that is not known or has ended, a scheduler that does not answer.
    pub async fn cancel(&self, id: &str) -> Result<(), Error> {
        let connection = self.connect().await?;
        // It is not cancelled when this is dropped: that is done here.
        let job = Job::watched(connection.clone(), id.to_owned());
        let end = Instant::now() + CANCELLED_WITHIN;
        let mut asked = None;
        loop {
            let status = job.status().await.map_err(|status| connection.failed(&status))?;
            match status.as_ref().map(JobState::of) {
                None => {
                    return Err(self.unknown(id));
                }
                Some(JobState::Queued | JobState::Running) => {}
                Some(JobState::Cancelled) if asked.is_some() => return Ok(()),
                Some(state) => {
                    return Err(Error::Ended { id: id.to_owned(), state: state.to_string() });
                }
            }
            if Instant::now() >= end {
                return Err(Error::NotCancelled { id: id.to_owned() });
            }
            // A job that is being planned can't be cancelled yet.
            if asked.is_none_or(|asked: Instant| asked.elapsed() > ASKED_EVERY * 10) {
                asked = Some(Instant::now());
                job.cancel().await.map_err(|status| connection.failed(&status))?;
            }
            sleep(ASKED_EVERY).await;
        }
    }

    fn unknown(&self, id: &str) -> Error {
        Error::UnknownJob { address: self.address.to_string(), id: id.to_owned() }
    }
}
