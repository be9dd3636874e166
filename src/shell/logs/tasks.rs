//! Tasks that DataFusion starts keep the span of the task that starts them.

use std::any::Any;

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;
use tracing::{Instrument, Span};

/// What a task returns.
type Outcome = Box<dyn Any + Send>;

/// Has them keep it, for the rest of the process.
pub(super) fn keep_spans() {
    // It fails if it was called before.
    set_join_set_tracer(&CurrentSpan).ok();
}

struct CurrentSpan;

impl JoinSetTracer for CurrentSpan {
    fn trace_future(&self, task: BoxFuture<'static, Outcome>) -> BoxFuture<'static, Outcome> {
        task.in_current_span().boxed()
    }

    fn trace_block(&self, task: Box<dyn FnOnce() -> Outcome + Send>) -> Box<dyn FnOnce() -> Outcome + Send> {
        let span = Span::current();
        Box::new(move || span.in_scope(task))
    }
}
