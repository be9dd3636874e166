//! A running query: its rows as a stream, its progress, and an end before its own.
//!
//! ```text
//!  DataFrame ─► Query ─► rows, or the error that says why there are no more
//!                 ├─ QueryProgress, Accounting ◄─ any task
//!                 ├─ QueryHandle ◄─── any task, or the time-out: no more rows, and runs of models are terminated
//!                 └─ Queries of its engine, where others find it
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::Stream;
use futures::stream::{AbortHandle, Abortable, StreamExt};
use tracing::{Instrument, Span};

use crate::accounts::Accounting;
use crate::exec::{ExpressionMetrics, QueryCancellation};
use crate::progress::QueryProgress;
use crate::queries::{Outcome, Queries, QueryText, RunningQuery};
use crate::{Error, Result};

/// A query in execution: a stream of its rows, which other tasks can watch and end.
///
/// Nothing is executed before the first poll, and dropping the query ends it. It works for every `DataFrame` of a
/// session with Seequel, also for a `COPY` or `INSERT`, whose row is the number of rows written.
///
/// ```no_run
/// use std::time::Duration;
///
/// use futures::TryStreamExt;
/// use seequel::{Engine, Query};
///
/// # async fn example() -> seequel::Result<()> {
/// let engine = Engine::builder().build()?;
/// let labels = engine.sql("SELECT path, classify(image)['label'] FROM read_images('photos/')").await?;
/// let mut query = Query::try_new(labels).await?.with_timeout(Duration::from_secs(600));
///
/// let (progress, handle) = (query.progress(), query.handle());
/// let watcher = std::thread::spawn(move || {
///     std::thread::sleep(Duration::from_secs(60));
///     for (stage, count) in progress.stages() {
///         println!("{stage}: {} of {:?}", count.done, count.total);
///     }
///     handle.cancel();
/// });
/// while let Some(batch) = query.try_next().await? {
///     println!("{} rows", batch.num_rows());
/// }
/// # watcher.join().ok();
/// # Ok(())
/// # }
/// ```
pub struct Query {
    schema: SchemaRef,
    progress: QueryProgress,
    accounting: Accounting,
    /// `None` in a session without an engine.
    listed: Option<RunningQuery>,
    span: Span,
    handle: QueryHandle,
    timeout: Option<Duration>,
    /// Ends the query after its time-out.
    timer: Option<SpawnedTask<()>>,
    /// `None` after the end.
    batches: Option<Abortable<SendableRecordBatchStream>>,
}

impl Query {
    /// Plans `query`. DDL statements and those about models have been executed by [`Engine::sql`](crate::Engine::sql)
    /// already, `CREATE TABLE … AS` included.
    ///
    /// # Errors
    /// A plan that can't be executed.
    pub async fn try_new(query: DataFrame) -> Result<Self> {
        let (mut state, plan) = query.into_parts();
        let cancellation = QueryCancellation::default();
        state.config_mut().options_mut().extensions.insert(cancellation.clone());
        let (abort, registration) = AbortHandle::new_pair();
        let handle = QueryHandle(Arc::new(Ending { cancellation, abort, reason: OnceLock::new() }));
        let listed = list(&state, &plan, &handle);
        if let Some(listed) = &listed {
            listed.prepare(&mut state);
        }
        ExpressionMetrics::begin(&mut state);
        let span = listed.as_ref().map_or_else(|| tracing::error_span!("query"), RunningQuery::span);
        let plan = state.create_physical_plan(&plan).instrument(span.clone()).await?;
        let (schema, progress) = (plan.schema(), QueryProgress::new(&plan));
        let accounting = Accounting::new(&plan);
        if let Some(listed) = &listed {
            listed.observe_with(&plan, accounting.clone());
        }
        let context = Arc::new(TaskContext::from(&state));
        let batches = span.in_scope(|| execute_stream(plan, context))?;
        let batches = Some(Abortable::new(batches, registration));
        Ok(Self { schema, progress, accounting, listed, span, handle, timeout: None, timer: None, batches })
    }

    /// Ends the query with [`Error::TimedOut`] if it runs longer than `timeout`, measured from its first poll. Needs a
    /// Tokio runtime with its timer enabled.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Names the query in [`Engine::queries`](crate::Engine::queries) and on the dashboard.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        if let Some(listed) = &self.listed {
            listed.set_name(name.into());
        }
        self
    }

    /// The query's progress.
    #[must_use]
    pub fn progress(&self) -> QueryProgress {
        self.progress.clone()
    }

    /// What the query's time and memory go to, while it runs and afterwards.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        self.accounting.clone()
    }

    /// Ends the query from another task or thread.
    #[must_use]
    pub fn handle(&self) -> QueryHandle {
        self.handle.clone()
    }

    fn start_timer(&mut self) {
        if let Some(timeout) = self.timeout.take() {
            let handle = self.handle.clone();
            // A task of its own, because a call in a branch of CASE blocks the poll of this stream.
            self.timer = Some(SpawnedTask::spawn(async move {
                tokio::time::sleep(timeout).await;
                handle.end(Reason::TimedOut(timeout));
            }));
        }
    }
}

impl Stream for Query {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.start_timer();
        self.accounting.begin();
        let span = self.span.clone();
        let _span = span.enter();
        let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
        let next = ready!(batches.poll_next_unpin(context));
        // A run that was terminated is an error too, but not the reason.
        let next = match self.handle.0.reason.get() {
            Some(reason) => Some(Err(DataFusionError::from(Error::from(*reason)))),
            None => next,
        };
        if let (Some(listed), Some(Ok(batch))) = (&self.listed, &next) {
            listed.add_batch(batch);
        }
        if !matches!(next, Some(Ok(_))) {
            (self.batches, self.timer) = (None, None);
            self.accounting.end();
            if let Some(listed) = self.listed.take() {
                listed.end(&outcome(next.as_ref(), &self.handle));
            }
        }
        Poll::Ready(next)
    }
}

/// Lists the query in its engine, if it has one.
fn list(state: &SessionState, plan: &LogicalPlan, handle: &QueryHandle) -> Option<RunningQuery> {
    let queries = Queries::of(state.config_options())?;
    let text = QueryText::of(state.config_options()).unwrap_or_else(|| plan.display().to_string());
    let handle = handle.clone();
    Some(queries.begin(&text, move || handle.cancel()))
}

/// How a query ended whose last item is `last`.
fn outcome(last: Option<&DataFusionResult<RecordBatch>>, handle: &QueryHandle) -> Outcome {
    match (last, handle.0.reason.get()) {
        (_, Some(Reason::Cancelled)) => Outcome::Cancelled,
        (Some(Err(error)), _) => Outcome::Failed(error.to_string()),
        _ => Outcome::Finished,
    }
}

impl RecordBatchStream for Query {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// A query that is dropped before its end has ended too.
impl Drop for Query {
    fn drop(&mut self) {
        self.accounting.end();
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("progress", &self.progress)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// Ends a [`Query`]. Cloning is cheap; clones end the same query.
#[derive(Debug, Clone)]
pub struct QueryHandle(Arc<Ending>);

/// How a query is ended, and why it was.
#[derive(Debug)]
struct Ending {
    cancellation: QueryCancellation,
    abort: AbortHandle,
    reason: OnceLock<Reason>,
}

#[derive(Debug, Clone, Copy)]
enum Reason {
    Cancelled,
    TimedOut(Duration),
}

impl QueryHandle {
    /// Ends the query: its stream ends with [`Error::Cancelled`], images that are not started are left out, and runs of
    /// models are terminated within the graph, in operators as in branches of CASE.
    ///
    /// Returns at once. Without effect on a query that has ended.
    pub fn cancel(&self) {
        self.end(Reason::Cancelled);
    }

    fn end(&self, reason: Reason) {
        // Set first, so that the stream finds the reason when it is woken. A later reason is ignored.
        let _ = self.0.reason.set(reason);
        self.0.cancellation.cancel();
        self.0.abort.abort();
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Cancelled => Self::Cancelled,
            Reason::TimedOut(timeout) => Self::TimedOut(timeout),
        }
    }
}
