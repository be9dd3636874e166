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

mod cancelling;
mod fetch;
mod job;
mod jobs;
mod results;

use std::fmt;
use std::sync::Arc;

use ballista_core::config::BALLISTA_JOB_NAME;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::{ExecuteQueryParams, KeyValuePair};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalProtoConverterExtension,
};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::connect::{Connection, Security};
use crate::files::{Offer, OfferedFile, hold, keep, offer};
use crate::jobs::Watcher;
use crate::{Address, Error};
pub use cancelling::finish_cancelling;
use fetch::fetch;
use job::submit;
use results::gathered;

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

    /// What is in its plans, by which executors may ask for files.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// `plan` as it is sent, with expressions by `converter`.
    ///
    /// # Errors
    /// An operator or expression that has no message.
    pub fn encode(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Vec<u8>> {
        let message = converter.execution_plan_to_proto(plan, self.codec.as_ref())?;
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
