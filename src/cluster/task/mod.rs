//! Inference in a task: what travels of it, and what an executor makes of that.
//!
//! ```text
//!  TaskCall ─ messages ─► InferTaskExec ─ ExecutorModels ─► InferExec
//!  calls in expressions ─► ExprModels ─── ExecutorModels ─► the call, on the thread that evaluates the expression
//! ```

mod call;
mod expr_models;
mod infer_task;
pub(in crate::cluster) mod messages;
mod model_files;
mod models;
mod sent_files;
mod tell_failed;
mod warm;

pub(in crate::cluster) use call::TaskCall;
pub(in crate::cluster) use expr_models::ExprModels;
pub(in crate::cluster) use infer_task::InferTaskExec;
pub(in crate::cluster) use models::ExecutorModels;
pub(in crate::cluster) use sent_files::{files_of, offered_files};
pub(in crate::cluster) use tell_failed::{
    COUNTED, EXAMPLE, FAILED, LISTED_BYTES, MOST_LISTED, ROWS, TellFailedExec, listed,
};
pub(in crate::cluster) use warm::{load_sent, models_of};
