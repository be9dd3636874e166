//! Execution of inference: the exchange that distributes rows, and the operator that runs models on them.
//!
//! ```text
//!  input ─► InferExchangeExec ─► InferExec: decode_infer ─┬─► Batcher of model A ─┐
//!           morsels, bounded     one morsel a worker      └─► Batcher of model B ─┴─► rows + predictions
//! ```
//!
//! On a CPU each worker decodes its own morsel. For a GPU all cores decode the rows of a morsel side by side.

mod adapt;
mod batch_inference;
mod decode_infer;
pub(crate) mod exchange;
mod failures;
mod fallback;
mod group;
mod infer;
mod lanes;
mod metrics;
mod predictions;
mod query_cancellation;
mod running;
mod worker;

#[cfg(feature = "cluster")]
pub(crate) use decode_infer::{Guard, GuardedRow, Lane, Verdict};
pub use exchange::{InferExchangeExec, MorselRows};
#[cfg(feature = "cluster")]
pub(crate) use infer::properties_with;
pub use infer::{InferExec, Morsels};
pub use metrics::{Found, SampledRow};
pub use predictions::PhysicalCall;
pub use running::{cancel_inference, exit};

#[cfg(feature = "cluster")]
pub(crate) use failures::Undecoded;
#[cfg(feature = "cluster")]
pub(crate) use fallback::{blocking, predict};
pub(crate) use metrics::{
    DEVICE_USE, ErrorKind, ExpressionMetrics, MODEL, RUN_TIME, RowRecord, Rows, SlowImage,
};
pub(crate) use query_cancellation::QueryCancellation;
