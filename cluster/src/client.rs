//! Runs a physical plan on a cluster and fetches its rows.
//!
//! ```text
//!  plan ─ codec ─► scheduler ─ status, until the job has ended ─► where its partitions are ─► executors ─► batches
//!                     ▲
//!                     └─ cancel, if the stream is dropped before
//! ```
//!
//! Ballista has a function for this, `execute_physical_plan`, which leaves a job running when its stream is dropped,
//! and whose errors are the debug output of its types.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::config::BALLISTA_JOB_NAME;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{ExecuteQueryParams, KeyValuePair};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::time::sleep;
use uuid::Uuid;

use crate::connection::Connection;
use crate::fetch::fetch;
use crate::files::{Offer, OfferedFile, hold, keep, offer};
use crate::job::{Job, submit};
use crate::jobs::messages::Nothing;
use crate::jobs::{JobState, JobsClient, ListedExecutor, ListedJob};
use crate::progress::Watcher;
use crate::results::gathered;
use crate::security::Security;
use crate::settings::MESSAGE_BYTES;
use crate::{Address, Error};

/// How long a scheduler may take to end a job, and the time between two questions whether it has.
const CANCELLED_WITHIN: Duration = Duration::from_secs(20);
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// Runs plans on the cluster of a scheduler.
#[derive(Clone)]
pub struct Client {
    address: Address,
    security: Security,
    codec: Arc<dyn PhysicalExtensionCodec>,
    secret: String,
}

/// What a client sends of a query.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The plan by [`Client::encode`].
    pub plan: Vec<u8>,
    /// What the job is called, unless the setting `ballista.job.name` says so.
    pub name: String,
    /// Those that executors may ask for.
    pub files: Vec<OfferedFile>,
}

impl Client {
    /// A client that is not connected yet. `codec` makes what writes the plans of a secret, which is in them: whoever has it
    /// may read the files that are offered while they run.
    #[must_use]
    pub fn new(
        address: Address,
        security: Security,
        codec: impl FnOnce(String) -> Arc<dyn PhysicalExtensionCodec>,
    ) -> Self {
        let secret = Uuid::new_v4().to_string();
        Self { address, security, codec: codec(secret.clone()), secret }
    }

    /// The scheduler.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// `plan` as it is sent.
    ///
    /// # Errors
    /// An operator or expression that has no message.
    pub fn encode(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
        let message = PhysicalPlanNode::try_from_physical_plan(Arc::clone(plan), self.codec.as_ref())?;
        let mut bytes = vec![];
        message.try_encode(&mut bytes)?;
        Ok(bytes)
    }

    /// The rows of a query with these settings, partition by partition; `watcher` is told how far it is. Executors may ask
    /// for its files until it has ended. Nothing is sent before the first poll. The job is cancelled if the stream is
    /// dropped before its end.
    #[must_use]
    pub fn run(
        &self,
        sent: Sent,
        settings: &ConfigOptions,
        watcher: Watcher,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { address, security, secret, .. } = self.clone();
        let (query, files) = (request(sent.plan, sent.name, settings), sent.files);
        stream::once(async move {
            let connection = Connection::open(&address, &security).await?;
            let _offer = offered(&connection, &secret, files).await?;
            let mut has_failed = false;
            loop {
                let mut job = submit(&connection, query.clone()).await?;
                let results = job.finish(&watcher).await?;
                let rows = gathered(fetch(results, security.clone())).await;
                job.had().await;
                match rows {
                    Err(error) if !has_failed && is_lost(&error) => {
                        tracing::warn!("running the query again: {error}");
                        has_failed = true;
                    }
                    rows => return rows,
                }
            }
        })
        .try_flatten()
        .boxed()
    }

    /// Begins a query with these settings, and returns the name of its job, which goes on without this client. Its files are
    /// given to the scheduler first.
    ///
    /// # Errors
    /// A scheduler that does not answer or refuses the query, files that can't be read.
    pub async fn leave(&self, sent: Sent, settings: &ConfigOptions) -> Result<String, Error> {
        let (query, files) = (request(sent.plan, sent.name, settings), sent.files);
        let connection = self.connect().await?;
        hold(&connection, &self.secret, &files).await?;
        let job = submit(&connection, query).await?;
        if !files.is_empty() {
            keep(&connection, &self.secret, job.id()).await?;
        }
        job.leave().await
    }

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

    async fn connect(&self) -> Result<Connection, Error> {
        Connection::open(&self.address, &self.security).await
    }
}

/// What asks a scheduler to run a plan.
fn request(plan: Vec<u8>, name: String, settings: &ConfigOptions) -> ExecuteQueryParams {
    let mut name = Some(name);
    let settings = settings.entries().into_iter().map(|entry| {
        let is_empty = entry.value.as_ref().is_none_or(String::is_empty);
        let value = if entry.key == BALLISTA_JOB_NAME && is_empty { name.take() } else { entry.value };
        KeyValuePair { key: entry.key, value }
    });
    ExecuteQueryParams {
        query: Some(Query::PhysicalPlan(plan)),
        settings: settings.collect(),
        session_id: Uuid::new_v4().to_string(),
        operation_id: Uuid::new_v4().to_string(),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Whether results are lost that another run may give.
fn is_lost(error: &DataFusionError) -> bool {
    matches!(fetch_error(error), Some(Error::Fetch { .. } | Error::SilentExecutor { .. }))
}

fn fetch_error(error: &DataFusionError) -> Option<&Error> {
    match error {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

/// The offer of a query's files, if it has any.
async fn offered(
    connection: &Connection,
    secret: &str,
    files: Vec<OfferedFile>,
) -> Result<Option<Offer>, Error> {
    match files.is_empty() {
        true => Ok(None),
        false => offer(connection, secret, files.into()).await.map(Some),
    }
}
